"""Optuna, which proposes the values of a trial and hears what they are worth."""

from __future__ import annotations

from typing import Any

from sslbench.errors import BadInput
from sslbench.methods.base import Range
from sslbench.suite import Cell, Params
from sslbench.tuning.study import Study, Trial

_DRAWS = 1000
"""Draws from a search space for values that the class takes, before it is given up."""


class Search:
    """A study under way: Optuna proposes values and hears what they are worth."""

    def __init__(self, study: Study) -> None:
        self.study, self.trials = study, list[Trial]()
        self._optuna = require_optuna()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        sampler = self._optuna.samplers.TPESampler(seed=study.seed)
        self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._study.enqueue_trial(study.in_force)
        self._asked: Any = None

    def ask(self) -> tuple[Params, tuple[Cell, ...]]:
        """The next values and the cells with them. Proposals that the class does not take are not trials."""
        space = {name: _distribution(self._optuna, space) for name, space in self.study.space.items()}
        for _ in range(_DRAWS):
            self._asked = self._study.ask(space)
            if not self.trials:
                return self.study.in_force, self.study.cells
            values = {name: rounded(self._asked.params[name]) for name in space}
            try:
                return values, self.study.with_values(values)
            except BadInput as error:
                refusal = error
                self._study.tell(self._asked, state=self._optuna.trial.TrialState.FAIL)
        raise BadInput(f"The search space of '{self.study.method_name}' has hardly a value that it takes: {refusal}")

    def tell(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._study.tell(self._asked, trial.score(self.study.examples))


def _distribution(optuna: Any, space: Range | tuple[Any, ...]) -> Any:
    kinds = optuna.distributions
    if isinstance(space, tuple):
        return kinds.CategoricalDistribution(space)
    whole = isinstance(space.low, int) and isinstance(space.high, int)
    return (kinds.IntDistribution if whole else kinds.FloatDistribution)(space.low, space.high, log=space.log)


def rounded(value: Any) -> Any:
    """A float at three significant digits: more of them would claim what no trial can tell."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def require_optuna() -> Any:
    """Optuna, imported when it is needed.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise BadInput(
            '`sslbench tune` needs Optuna, which is not installed here: pip install "sslbench[tune]".'
        ) from error
    return optuna
