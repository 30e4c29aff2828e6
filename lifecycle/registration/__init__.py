"""From a model that was fitted elsewhere to a registered version."""

from lifecycle.registration.exporting import EXPORTED, exported
from lifecycle.registration.judging import Outcome, judged, seen_until
from lifecycle.registration.model_file import ModelFile, model_file
from lifecycle.registration.opening import Opened, open_model
from lifecycle.registration.register import Registered, RegistrationRequest, register

__all__ = [
    "EXPORTED",
    "ModelFile",
    "Opened",
    "Outcome",
    "Registered",
    "RegistrationRequest",
    "exported",
    "judged",
    "model_file",
    "open_model",
    "register",
    "seen_until",
]
