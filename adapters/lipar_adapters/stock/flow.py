"""Which schedulers of diffusers follow flow matching."""

from typing import Any


def check_flow(scheduler: Any) -> None:
    """Refuse a scheduler that does not follow flow matching.

    Raises:
        TypeError: names it, and what would do.
    """
    name, config = type(scheduler).__name__, scheduler.config
    by_config = (
        getattr(config, "use_flow_sigmas", False)
        and getattr(config, "prediction_type", None) == "flow_prediction"
    )
    if not (name.startswith("FlowMatch") or by_config):
        raise TypeError(
            f"{name} does not follow flow matching, where x = (1 - sigma) clean + sigma noise and the model predicts "
            "noise - clean; take FlowMatchEulerDiscreteScheduler, or UniPCMultistepScheduler with use_flow_sigmas=True "
            "and prediction_type='flow_prediction'"
        )
