from django.apps import AppConfig


class Pm6SiteConfig(AppConfig):
    name = "pm6site"
    verbose_name = "pm6"

    def ready(self) -> None:
        from pm6site import checks  # noqa: F401  registers them
