"""Settings, all from the environment or `.env`; `.env.example` explains each."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
IS_CHECKOUT = (BASE_DIR / "manage.py").exists()
# Installed from a wheel, templates/ and static/ lie inside the package; see setup.py.
FILES_DIR = BASE_DIR if IS_CHECKOUT else BASE_DIR / "pm6site" / "bundled"
HOME_DIR = Path(os.environ.get("PM6_HOME", BASE_DIR if IS_CHECKOUT else Path.cwd()))
DATA_DIR = HOME_DIR / "var"

env = environ.Env()
environ.Env.read_env(HOME_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

if not SECRET_KEY:
    # One is made for commands that need none to be kept (migrate, check, tests); `quickstart`
    # and `.env` give a server its own, and a system check refuses to serve without.
    from django.core.management.utils import get_random_secret_key

    SECRET_KEY = get_random_secret_key()
    SECRET_KEY_IS_PASSING = True
else:
    SECRET_KEY_IS_PASSING = False

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "pm6site",
    "simulations",
    "agents",
    "costs",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "pm6site.contentPolicy.contentPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "pm6site.urls"
ASGI_APPLICATION = "pm6site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [FILES_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASE_URL = env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'pm6.sqlite3'}"
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
DATABASE = DATABASES["default"]
DATABASE["CONN_HEALTH_CHECKS"] = True
if DATABASE["ENGINE"].endswith("sqlite3"):
    # Where it can't be made, opening the database says so; `quickstart` says it better.
    with contextlib.suppress(OSError):
        DATA_DIR.mkdir(parents=True, exist_ok=True)
    DATABASE["CONN_MAX_AGE"] = None
    DATABASE["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
            "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32000; PRAGMA wal_autocheckpoint=4000;"
        ),
    }
    # A file and not memory: the engine's own threads must see the same database.
    DATABASE["TEST"] = {"NAME": str(DATA_DIR / f"test-{os.getpid()}.sqlite3")}
else:
    # A pool keeps connections by itself and excludes CONN_MAX_AGE.
    DATABASE["CONN_MAX_AGE"] = 0
    DATABASE["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 16, "timeout": 10}}

REDIS_URL = env.str("REDIS_URL", default="")
CHANNEL_LAYERS = {
    "default": (
        {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "capacity": 500},
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 500}}
    )
}
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [FILES_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Static files are served from their folders, without a build step.
WHITENOISE_USE_FINDERS = True

SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=False)
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "simulations.api.errors.answerError",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

UNFOLD = {
    "SITE_TITLE": "pm6",
    "SITE_HEADER": "pm6",
    "SITE_SYMBOL": "theater_comedy",
    "SHOW_VIEW_ON_SITE": False,
}

ANTHROPIC_API_KEY = env.str("ANTHROPIC_API_KEY", default="")
ANTHROPIC_BASE_URL = env.str("ANTHROPIC_BASE_URL", default="")
PM6_LLM = env.str("PM6_LLM", default="auto")
PM6_LOCAL_MODEL = env.str("PM6_LOCAL_MODEL", default="")
PM6_BLOCK_REAL_CALLS = env.bool("PM6_BLOCK_REAL_CALLS", default=False)
PM6_MODEL = env.str("PM6_MODEL", default="claude-sonnet-5-5")
PM6_MODEL_LADDER = env.list(
    "PM6_MODEL_LADDER", default=["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"]
)
PM6_BUDGET_EVERYTHING = env.str("PM6_BUDGET_EVERYTHING", default="25")
PM6_BUDGET_GUESTS = env.str("PM6_BUDGET_GUESTS", default="1")
PM6_BUDGET_SESSION = env.str("PM6_BUDGET_SESSION", default="0.25")
PM6_TURN_LEASE_SECONDS = env.float("PM6_TURN_LEASE_SECONDS", default=30.0)
PM6_MODEL_WAIT_SECONDS = env.float("PM6_MODEL_WAIT_SECONDS", default=20.0)
PM6_MODEL_CONCURRENCY = env.int("PM6_MODEL_CONCURRENCY", default=8)
PM6_MESSAGES_PER_MINUTE = env.int("PM6_MESSAGES_PER_MINUTE", default=60)
PM6_GUEST_SESSIONS_PER_HOUR = env.int("PM6_GUEST_SESSIONS_PER_HOUR", default=20)

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "pm6": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": True},
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}
