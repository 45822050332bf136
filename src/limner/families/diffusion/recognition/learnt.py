"""What a denoiser learnt, as far as its steps depend on that."""

from dataclasses import dataclass

from limner.families.diffusion.recognition.finding import Prediction


@dataclass(frozen=True)
class Learnt:
    """What a denoiser predicts, and the family it is of: for some, the best levels are known."""

    prediction: Prediction
    family: str = ""
