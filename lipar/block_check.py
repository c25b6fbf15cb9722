"""The check at the end of each block: are the latents finite, and if not, whose answers made them so."""

from lipar.plugin.checks import Checks
from lipar.types import Latents


class ModelOutputError(ArithmeticError):
    """The model gave NaN or infinity."""


def check_block(checks: Checks, latents: Latents, first_frame: int) -> None:
    """Settle all open checks of a block together, so that a GPU is waited for once.

    Args:
        checks: those of the run.
        latents: of the finished block.
        first_frame: index of its first frame in the video.

    Raises:
        AnswerError: a part or a hook gave what cannot be used.
        ModelOutputError: the latents are not finite, and no part or hook is the cause.
    """

    def blame() -> Exception:
        if (blamed := checks.blamed()) is not None:
            return blamed
        error = ModelOutputError(
            f"the model gave NaN or infinity in latent frames {first_frame}.."
            f"{first_frame + latents.shape[1] - 1}; try --dtype float32, another seed, or check the weights"
        )
        if checks.suspects:
            error.add_note(
                f"plugins took part, though nothing was found on them: {', '.join(checks.suspects)}"
            )
        return error

    checks.expect(latents, blame)
    checks.settle()
