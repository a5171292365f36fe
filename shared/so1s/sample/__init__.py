"""Whether a sample is a body that a model's declared inputs take.

The inference server checks requests with NumPy, which a pipeline need not have: this says the same of one
body with the standard library alone. A test holds the two together.
"""

from so1s.sample.body import check
from so1s.sample.misfit import Misfit

__all__ = ["Misfit", "check"]
