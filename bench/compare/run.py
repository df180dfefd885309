"""Run the missing trials of a comparison: plan − ledger → trials → ledger → mirror → report."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from operator import methodcaller
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from rich.console import Console

from switchbench import datasets
from switchbench.cluster.context import RunContext
from switchbench.cluster.signals import handled, stop_at_once
from switchbench.cluster.worker import Job, record_lost
from switchbench.cluster.workers import Distribute, workers
from switchbench.compare.order import longest_first
from switchbench.compare.plan import Plan, SpecLike, check, plan
from switchbench.errors import ExitCode, InputError, RunStopped
from switchbench.observe.observer import Observer, notify
from switchbench.observe.terminal import TrialDisplay
from switchbench.reports.figures.process import DrawingProcess
from switchbench.row import Status
from switchbench.spec.trial import TrialConfig
from switchbench.words import plural

if TYPE_CHECKING:
    from switchbench.reports.results import Results

T = TypeVar("T")
SOON = 5
"""Most seconds that bad input waits for what was begun beside it."""


def run(
    spec: SpecLike,
    out: str | Path | None = None,
    changes: Iterable[str] = (),
    *,
    address: str | None = None,
    mlflow_uri: str | None = None,
    plugin_files: Iterable[str | Path] = (),
    retry_failed: bool = False,
    console: Console | None = None,
    jobs: int | None = None,
) -> "Results":
    """Run the missing trials of a comparison and write its report.

    Args:
        spec: A spec, its plain values, a file, or the name of a shipped spec.
        out: Folder of the results; default: ``results/NAME``.
        changes: Changes of the spec, ``key.key=value``.
        address: Address of a running Ray cluster; ``local``: a new one on this machine; default: processes of
            this machine, and Ray on it if a trial needs GPUs.
        mlflow_uri: MLflow server or database; default: ``$MLFLOW_TRACKING_URI``, or a sqlite file in the
            folder; ``none``: off.
        plugin_files: Python files that register methods, networks or data sets.
        retry_failed: Whether trials that failed in an earlier run are run again.
        console: Where progress and tables are printed; default: standard error.
        jobs: Largest number of trials that run at the same time on this machine; 0: in this process, one
            after the other; default: as many as fit.

    Returns:
        The ledger's table, one row per planned trial.

    Raises:
        InputError: The spec or an argument cannot be used; nothing has been written.
        RunStopped: A signal (Ctrl-C, SIGTERM, SIGUSR1) has stopped the run, or the folder cannot be
            written. The same call continues where it stopped.
    """
    context = RunContext.create(address, mlflow_uri, plugin_files, console, jobs)
    planned = plan(spec, out, changes, retry_failed)
    _say_what_it_showed(planned, context)
    return run_planned(planned, context)


def _say_what_it_showed(planned: Plan, context: RunContext) -> None:
    """Warn if the folder shows a comparison of another name by now."""
    ledger, name = planned.ledger, planned.spec.name
    with suppress(InputError):  # a spec that cannot be read is written again, or the run says why not
        if ledger.has_comparison and (before := ledger.name()) != name:
            context.warn(
                f"{ledger.folder}: showed the comparison {before!r}, and now shows {name!r}; the trials of "
                f"{before!r} stay stored, and a run of its spec shows them again"
            )


def run_planned(planned: Plan, context: RunContext) -> "Results":
    """Run a plan as :func:`run` does.

    Args:
        planned: The plan.
        context: How to run it, with plug-ins loaded.

    Returns:
        The ledger's table, one row per planned trial.

    Raises:
        InputError: As in :func:`run`.
        RunStopped: As in :func:`run`.
    """
    ledger = planned.ledger
    running: AbstractContextManager[Distribute | None] = nullcontext()
    if not planned.is_done:
        ledger.check_writable()
        running = workers(context.address, planned.spec.resources, context.plugins, context.jobs, context.say)
    try:
        # The stack closes the mirror after the report, so that the mirror sends the report too.
        with handled(stop_at_once), ExitStack() as stack:
            ready = _in_background(partial(_prepare, planned))  # while the workers start
            stack.push(partial(_wait_unless_stopped, ready))
            with running as distribute:
                planned = ready.result()
                stack.enter_context(ledger.only_driver())
                if distribute:
                    planned = _calibrated(planned, distribute, context)
                ledger.create(planned.spec, planned.trials)
                context.console.print(planned.summary, soft_wrap=True)
                mirror = stack.enter_context(context.mirror(ledger))
                if distribute:
                    _run_trials(planned, distribute, context, mirror)
                drawing = stack.enter_context(DrawingProcess())  # imports matplotlib while the workers stop
            from switchbench.compare.report import report  # pandas: trials do not wait for it

            return report(ledger.folder, context.console, drawing=drawing)
    except KeyboardInterrupt as interrupt:
        raise RunStopped(f"stopped: {planned.how_to_continue()}", ExitCode.of(interrupt)) from interrupt
    except RunStopped as stop:
        raise RunStopped(f"{stop}; {planned.how_to_continue()}", stop.exit_code) from stop


def _wait_unless_stopped(ready: Future[Plan], kind: type[BaseException] | None, *_: object) -> None:
    """Wait for the thread, unless a signal ends the run: it would abort a script that ends while it works."""
    if not (kind and issubclass(kind, KeyboardInterrupt)):
        wait([ready], SOON)


def _in_background(function: Callable[[], T]) -> Future[T]:
    """Call a function in a thread that nobody waits for when a signal ends the run."""
    future: Future[T] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=call, daemon=True).start()
    return future


def _prepare(planned: Plan) -> Plan:
    """Check what would fail in every trial. Return the plan with its trials in the order in which they start.

    Raises:
        InputError: The check fails.
    """
    if planned.is_done:
        return planned
    check(planned.spec)
    return replace(planned, todo=longest_first(planned.todo))


def _calibrated(planned: Plan, distribute: Distribute, context: RunContext) -> Plan:
    """Calibrate until all strengths are settled. Return the plan with these strengths."""
    ledger, before, rounds = planned.ledger.calibration, planned, count(1)
    while todo := planned.calibration.todo:
        ledger.create(planned.spec, planned.calibration.trials)
        number, left = len(todo), planned.calibration.left
        runs = plural(number, "calibration run")
        targets = plural(left, "density", "densities")
        what = f"{planned.spec.name}, calibration, round {next(rounds)}"
        context.console.print(f"{what}: {runs}, to match {targets} → {ledger.folder}", soft_wrap=True)
        _run_trials(Plan(planned.spec, ledger, todo, todo), distribute, context, [], test=False)
        planned = planned.again()
    return planned if planned is before else replace(planned, todo=longest_first(planned.todo))


def _run_trials(
    planned: Plan, distribute: Distribute, context: RunContext, mirror: list[Observer], test: bool = True
) -> None:
    """Run dense starts, then the trials that the ledger lacks; ``test``: measured on test images as well."""
    spec, starts = planned.spec, planned.starts
    job = Job(
        planned.ledger.folder,
        datasets.data_folder(),
        spec.resources,
        uuid4().hex,
        spec.keep_networks and test,
        test,
    )
    done = len(planned.trials) - len(planned.todo)
    with TrialDisplay(context.console, len(planned.trials) + len(starts), done) as display:
        if starts:
            distribute(starts, replace(job, keep_networks=True), [display])
        todo = _without_failed_starts(planned, job, [display, *mirror])
        distribute(todo, job, [display, *mirror])


def _without_failed_starts(planned: Plan, job: Job, observers: list[Observer]) -> list[TrialConfig]:
    """Return the trials to run, without those whose dense start failed. Store a failure for the latter."""
    todo = []
    for trial in planned.todo:
        start = trial.start_trial
        row = planned.ledger.row(start.trial_id) if start else None
        if not start or not row or row.status in (Status.OK, Status.VALIDATED):
            todo.append(trial)
            continue
        stored = record_lost(trial, job, f"dense start {start.trial_id}: {row.status}: {row.error}")
        notify(observers, methodcaller("trial_finished", stored))
    return todo
