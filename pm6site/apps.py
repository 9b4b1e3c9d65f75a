from django.apps import AppConfig

from pm6site import labels  # noqa: F401  must be there before the first model is


class Pm6SiteConfig(AppConfig):
    name = "pm6site"
    verbose_name = "pm6"

    def ready(self) -> None:
        from pm6site import checks  # noqa: F401  registers them
