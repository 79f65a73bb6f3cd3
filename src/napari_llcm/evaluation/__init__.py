"""Evaluation: image metrics, and models judged on pairs."""

from .demo import demo
from .evaluating import Evaluation, evaluate, evaluate_pair
from .image_metrics import image_metrics
from .judges import judge_stain, nuclear_auc, pool_judgements

__all__ = [
    "Evaluation",
    "demo",
    "evaluate",
    "evaluate_pair",
    "image_metrics",
    "judge_stain",
    "nuclear_auc",
    "pool_judgements",
]
