"""How long the cells of a plan would take: from what is finished, else from a few steps."""

from __future__ import annotations

import dataclasses
import math
import time

import torch

from sslbench import engine
from sslbench.errors import BadInput
from sslbench.executors.jobs import Job, blank_record
from sslbench.records import Record
from sslbench.runner import Plan, make_jobs

PROBE_STEPS = 12
"""Steps of a cell that are tried. The first half has what happens once: imports, and the recording of the step."""


def seconds_per_cell(plan: Plan, device: str, workers: int) -> dict[tuple[str, str], float]:
    """Estimated seconds of each pending cell by (method, scenario): from finished cells with the same settings, else by
    timing a few steps of a stack as it would run; NaN where that device is on other machines. A method that begins with steps of
    another kind is judged by these.

    Args:
        workers: how many jobs there would be at a time.

    Raises:
        BadInput: a method fails in these steps.
    """
    estimates: dict[tuple[str, str], float] = {}
    for job in make_jobs(plan, device, workers):
        first = job.cells[0]
        pair = first.method_name, first.scenario_name
        if pair in estimates:
            continue
        like = blank_record(first, job.keys[0], "ok", "")
        known = [
            sum(r.timing.get(part, 0.0) for part in ("setup_s", "train_s", "eval_s"))
            for r in plan.history
            if r.status == "ok" and r.scenario["params"] == like.scenario["params"] and _same_method(r, like)
        ]
        here = device == "cpu" or torch.cuda.is_available()
        estimates[pair] = sum(known) / len(known) if known else _probe(job) if here else math.nan
    return estimates


def _same_method(one: Record, other: Record) -> bool:
    return all(one.method.get(part) == other.method.get(part) for part in ("base", "params", "code"))


def _probe(job: Job) -> float:
    """Seconds that each cell of the job would take, judged by its first steps."""
    cell = job.cells[0]
    method, scenario = cell.method, cell.scenario
    short = dataclasses.replace(scenario, steps=min(PROBE_STEPS, scenario.steps), points=min(2, scenario.steps))
    reached: list[float] = []
    try:
        timing = engine.run(
            method,
            short,
            [c.rng for c in job.cells],
            torch.device(job.device),
            lambda done, total, loss: reached.append(time.perf_counter()),
            [c.training_rng for c in job.cells],
            cell.precision,
            graphs=job.cuda_graphs,
        )[0].timing
    except Exception as error:
        raise BadInput(
            f"{cell.method_name} on {cell.scenario_name} fails in its first steps: {type(error).__name__}: {error}. "
            f"`sslbench check {cell.method_base}` says where."
        ) from error
    if not engine.descends(method, scenario):  # there are no steps: that was all of it
        return timing["setup_s"] + timing["train_s"] + timing["eval_s"]
    point = timing["eval_s"] / len(reached)
    step = timing["train_s"] / timing["steps"]
    if len(reached) > 1:  # from one point to the next there are steps and one evaluation
        later = (reached[-1] - reached[-2]) / len(job.cells) - point
        step = min(step, max(0.0, later) / (short.steps - short.steps // 2))
    return timing["setup_s"] + scenario.steps * step + scenario.points * point
