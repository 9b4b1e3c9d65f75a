"""Where each door is."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from simulations.play import views

urlpatterns = [
    path("", views.lobby, name="lobby"),
    path("login/", LoginView.as_view(template_name="play/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("start/<slug:slug>/", views.startPlay, name="startPlay"),
    path("play/<uuid:sessionId>/", views.play, name="play"),
    path("api/", include("simulations.api.urls")),
    path("admin/", admin.site.urls),
]
