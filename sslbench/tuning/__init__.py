"""Tuning: hyperparameters from validation data alone, with the same number of trials for every method.

A *study* looks for values of one method on one scenario. Every study has the same number of trials, and every trial trains at
the same seeds, which are none of the suite's: with the same steps, batches and augmentation, whatever the method.

- The learning rate belongs to the scenario and is shared by all methods. `supervised` looks for it, before the others; they
  then look for their own hyperparameters at that rate. This favours the baseline, deliberately: a method that is found ahead
  of it is ahead at the baseline's own learning rate (Oliver et al. 2018, arXiv:1804.09170, ask for a baseline tuned as well).
- Trial 0 is the values in force. The others come from Optuna's TPE sampler, seeded.
- What counts is the validation accuracy after the last step, mean over the seeds. It is coarse where validation sets are as
  small as they must be (no larger than the labelled set), so equal accuracies are told apart by the mean validation loss. A
  trial with a diverged seed counts as accuracy 0.
- The best trial is chosen if it exceeds the values in force by more than one standard error of such an accuracy. Otherwise
  the values in force stay: the best of many trials exceeds them by chance alone, so a change must be earned. (The
  one-standard-error rule of Breiman et al. 1984, with the values in force in the place of the simplest tree.) The trials
  are all in the file: who wants the best at any rate finds it there.

Test accuracies are not looked at. A tuning seed is a draw of labelled and validation examples of its own from the training
pool, so that several seeds together see more labels than one user with one labelled set has: the file says how many.
"""

from sslbench.tuning.document import document, facts, write
from sslbench.tuning.plan import Tuning, check_target, make_tuning
from sslbench.tuning.spaces import widened
from sslbench.tuning.study import Found, Study, Trial
from sslbench.tuning.trained import Trained
from sslbench.tuning.trials import TrialFailed, tune
from sslbench.tuning.words import lines, shown, verdict

__all__ = [
    "Found",
    "Study",
    "Trained",
    "Trial",
    "TrialFailed",
    "Tuning",
    "check_target",
    "document",
    "facts",
    "lines",
    "make_tuning",
    "shown",
    "tune",
    "verdict",
    "widened",
    "write",
]
