"""The API's addresses."""

from django.urls import path, re_path

from simulations.api import views

urlpatterns = [
    path("", views.Root.as_view()),
    path("v1/", views.Root.as_view()),
    path("v1/simulations/", views.Simulations.as_view()),
    path("v1/sessions/", views.Sessions.as_view()),
    path("v1/sessions/<uuid:sessionId>/", views.SessionDetail.as_view()),
    path("v1/sessions/<uuid:sessionId>/state/", views.SessionState.as_view()),
    path("v1/sessions/<uuid:sessionId>/turns/", views.Turns.as_view()),
    re_path(r"^.*$", views.Unknown.as_view()),
]
