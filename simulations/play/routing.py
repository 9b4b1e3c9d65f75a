"""The socket's address."""

from django.urls import path

from simulations.play.consumers import PlayConsumer

websocketUrls = [path("ws/play/<uuid:sessionId>/", PlayConsumer.as_asgi())]
