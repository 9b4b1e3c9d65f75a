"""What API calls take."""

from __future__ import annotations

from rest_framework import serializers

from simulations.models.session import MODES


class StrictSerializer(serializers.Serializer):
    """Refuses fields it doesn't know."""

    def to_internal_value(self, data):
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError(dict.fromkeys(sorted(unknown), "There is no such field."))
        return super().to_internal_value(data)


class StartSerializer(StrictSerializer):
    simulation = serializers.CharField(max_length=40)
    mode = serializers.ChoiceField(choices=MODES, required=False)
    seed = serializers.IntegerField(min_value=0, max_value=2**62, required=False)
    language = serializers.RegexField(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=20, required=False)


class TurnSerializer(StrictSerializer):
    clientKey = serializers.RegexField(r"^[A-Za-z0-9_-]{8,64}$")
    text = serializers.CharField(required=False, default="", allow_blank=True, trim_whitespace=False)
    option = serializers.CharField(required=False, default="", allow_blank=True, max_length=40)
