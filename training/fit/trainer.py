"""Training a Keras model on a dictionary of arrays."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from training.backend import keras
from training.data.storage import OnDisk
from training.estimators.heads import loss_of
from training.fit.batches import Batches, Rest, batch_size
from training.fit.checkpoint import Checkpoint, State
from training.fit.curve import Curve, Epoch, OnEpoch
from training.inputs.spec import Arrays
from training.models.config import TrainingConfig
from training.tasks import Objective, check_monitor

PREDICTION_BATCH = 8192
STEPS_A_CALL = 32
"""The most training steps in one compiled call, where the backend can do several."""
KEPT_EVERY = 120.0
"""Seconds after which the state is kept within an epoch: it may be as large as all embeddings are."""


def fit(
    model: Any,
    train: Arrays,
    targets: np.ndarray,
    valid: Arrays,
    valid_targets: np.ndarray,
    config: TrainingConfig,
    objective: Objective,
    *,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
) -> Curve:
    """Train `model` in place by Adam on the objective's loss; it ends with its best epoch's weights.

    Call `seed_everything(seed)` before the model is built to make its first weights repeatable too.

    Args:
        model: from the dictionary of tensors to the objective's outputs (batch, outputs).
        train, targets: training rows.
        valid, valid_targets: validation rows, for early stopping and the choice of the epoch.
        config: how.
        objective: of the task.
        seed: of the batches.
        on_epoch: called after each epoch.
        checkpoint: written after each epoch, and every `KEPT_EVERY` seconds within one. Where it has the
            state of this training, that goes on from it, to the same result as if it had never stopped.
    """
    state = None if checkpoint is None else checkpoint.read()
    start, done = (0, 0) if state is None else (state.epoch, state.batch)
    batches = Batches(train, targets, batch_size(len(targets), config), seed, epoch=start)
    compile_model(model, config, loss_of(objective), len(batches))
    watch = _Watch(Curve(), valid, valid_targets, config, objective, on_epoch)
    if state is not None:
        _restore(model, watch, state)
    callbacks = [*_averaging(config), watch]
    if checkpoint is not None:
        callbacks.append(_Keep(checkpoint, watch, len(batches), start, state))

    def run(rows: Any, first: int, last: int, *also: Any) -> None:
        asked = {"epochs": last, "initial_epoch": first, "callbacks": [*callbacks, *also]}
        model.fit(rows, **asked, verbose=0, shuffle=False)

    model.stop_training = False
    if done:
        batches.on_epoch_end()  # as Keras does before the first epoch of each call
        ended = _LastState()
        run(Rest(batches, done), start, start + 1, ended)
        ended.restore()
        start += 1
    if not model.stop_training and start < config.epochs:
        run(batches, start, config.epochs)
    model.set_weights(watch.best_weights)
    return watch.curve


def refit(
    model: Any,
    rows: Arrays,
    targets: np.ndarray,
    config: TrainingConfig,
    objective: Objective,
    epochs: int,
    *,
    seed: int = 0,
) -> None:
    """Train `model` in place for a number of epochs that is known, on all the rows there are.

    Args:
        model, config, objective, seed: as in `fit`; the learning rate falls as it would over `config.epochs`.
        rows, targets: training rows.
        epochs: passes over them.
    """
    batches = Batches(rows, targets, batch_size(len(targets), config), seed)
    compile_model(model, config, loss_of(objective), len(batches))
    last = _LastWeights()
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[*_averaging(config), last], shuffle=False)
    model.set_weights(last.weights)


def compile_model(model: Any, config: TrainingConfig, loss: Any, steps: int) -> None:
    """Give the model its optimiser and loss.

    Args:
        model: a network.
        config: how it is trained.
        loss: of its outputs, as Keras has it.
        steps: of one epoch.
    """
    rate: Any = config.learning_rate
    if config.decay < 1:
        rate = keras.optimizers.schedules.CosineDecay(
            config.learning_rate, steps * config.epochs, alpha=config.decay
        )
    optimizer = _AdamW(config, rate)
    optimizer.exclude_from_weight_decay(var_names=["bias", "embeddings", "gate", "alpha", "gamma", "beta"])
    on_jax = keras.backend.backend() == "jax"
    # Calls of equal length, so that the last of an epoch has few steps less than it has room for.
    calls = -(-steps // STEPS_A_CALL)
    together = -(-steps // calls) if on_jax and steps else 1
    model.compile(optimizer=optimizer, loss=loss, jit_compile=_jit(), steps_per_execution=together)
    if on_jax:
        from training.fit.jax_steps import train_function

        model.train_function = train_function(model, together)


class _AdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW whose embeddings decay at a rate of their own.

    Its rates are variables, so that trainings which differ in them alone share one compiled step.
    """

    def __init__(self, config: TrainingConfig, learning_rate: Any) -> None:
        super().__init__(
            name="adamw",
            learning_rate=learning_rate,
            weight_decay=config.weight_decay,
            global_clipnorm=config.clip_norm or None,
            use_ema=config.averaging > 0,
        )
        self.decayed_embeddings = config.embedding_decay > 0
        rates = config.weight_decay, config.embedding_decay, config.averaging
        self.weight_decay, self.embedding_decay, self.ema_momentum = (
            self.add_variable((), keras.initializers.Constant(value), name=name)
            for value, name in zip(rates, ("weight_decay", "embedding_decay", "ema_momentum"), strict=True)
        )

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        for variable in variables:
            if self._use_weight_decay(variable):
                decay = self.weight_decay
            elif self.decayed_embeddings and variable.name == "embeddings":
                decay = self.embedding_decay
            else:
                continue
            rate = keras.ops.cast(self.learning_rate * decay, variable.dtype)
            variable.assign(variable - variable * rate)


def _averaging(config: TrainingConfig) -> list[Any]:
    """What puts the averaged weights into the model at the end of each epoch; it comes first."""
    return [_AveragedWeights(swap_on_epoch=True)] if config.averaging else []


class _AveragedWeights(keras.callbacks.SwapEMAWeights):  # type: ignore[misc]
    """Swaps weights and averages at the end of an epoch, and back where another begins."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        # In what it takes for the last epoch, Keras makes the averages the very arrays of the weights, which
        # JAX then hands over to the next prediction. Weights worth keeping have been read by then.
        super().on_epoch_end(-1, logs)


class _LastWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the last epoch: after training the model may hold those not averaged."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.weights = self.model.get_weights()


class _LastState(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps what the last epoch left, which Keras replaces by averages at the end of each call."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.held = [*self.model.variables, *self.model.optimizer.variables]
        self.values = [keras.ops.convert_to_numpy(variable).copy() for variable in self.held]

    def restore(self) -> None:
        """Put it back."""
        _assign(self.held, self.values)


def _restore(model: Any, watch: "_Watch", state: State) -> None:
    model.optimizer.build(model.trainable_variables)
    _assign(model.variables, state.variables)
    _assign(model.optimizer.variables, state.optimizer)
    watch.curve, watch.best, watch.best_weights = state.curve, state.best, state.best_weights


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class _Keep(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the state at the start of each epoch but the first, when no averaged weights are in the model,
    and within an epoch from time to time.

    Args:
        checkpoint: where.
        watch: what knows the best epoch.
        steps: of an epoch.
        start: the epoch that training begins with, or goes on in.
        state: from which it goes on; None where it begins.
    """

    def __init__(
        self, checkpoint: Checkpoint, watch: "_Watch", steps: int, start: int, state: State | None
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.watch = watch
        self.steps = steps
        self.start = start
        self.begun = state
        self.epoch = start
        self.before = 0
        self.kept = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.epoch, self.before = epoch, 0
        if epoch > self.start:
            self._keep(0)
        elif self.begun is not None and self.begun.batch:
            self.before = self.begun.batch
            _assign(self.model.metrics_variables, self.begun.loss)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        done = self.before + batch + 1  # or more, where JAX's last call of an epoch had room for more steps
        # After the last batch there is nothing to go on with: the next epoch keeps the state as it begins.
        if done < self.steps and time.monotonic() - self.kept >= KEPT_EVERY:
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()  # the variables are in the hands of the compiled steps
            self._keep(done)

    def _keep(self, batch: int) -> None:
        model, optimizer, loss = (
            [keras.ops.convert_to_numpy(variable) for variable in held]
            for held in (self.model.variables, self.model.optimizer.variables, self.model.metrics_variables)
        )
        watch = self.watch
        self.checkpoint.write(
            State(self.epoch, batch, loss, model, optimizer, watch.best, watch.best_weights, watch.curve)
        )
        self.kept = time.monotonic()


def _jit() -> bool | str:
    """XLA only where it helps: on TensorFlow without an accelerator it is many times slower."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow

    return "auto" if tensorflow.config.list_physical_devices("GPU") else False


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Validates each epoch, keeps the best weights, stops when there is no better one for too long."""

    def __init__(
        self,
        curve: Curve,
        valid: Arrays,
        targets: np.ndarray,
        config: TrainingConfig,
        objective: Objective,
        on_epoch: OnEpoch | None,
    ) -> None:
        super().__init__()
        self.curve = curve
        self.valid = valid
        self.targets = targets
        self.config = config
        self.objective = objective
        self.monitor = check_monitor(objective, config.monitor)
        self.on_epoch = on_epoch
        self.best = -np.inf
        self.best_weights: list[np.ndarray] = []
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        found = self.objective.validate(self.targets, predict(self.model, self.valid, self.objective))
        loss = float((logs or {}).get("loss", float("nan")))
        point = Epoch(epoch + 1, loss, found, time.perf_counter() - self.started)
        self.curve.epochs.append(point)
        value = self.objective.monitors[self.monitor] * found[self.monitor]
        if value > self.best:
            self.best = value
            self.best_weights = self.model.get_weights()
            self.curve.best = epoch + 1
        if self.on_epoch is not None:
            self.on_epoch(point, self.config.epochs)
        if epoch + 1 - self.curve.best >= self.config.patience:
            self.model.stop_training = True


def outputs(model: Any, arrays: Arrays) -> np.ndarray:
    """The model's outputs, float32 (rows, outputs): logits, values, or logarithms of probabilities."""
    first = next(iter(arrays.values()))
    rows = len(first)
    if rows == 0:
        return np.empty((0, model.output_shape[-1]), dtype=np.float32)
    size, full = PREDICTION_BATCH, False
    one_block = not isinstance(first, OnDisk) or rows <= first.block
    if keras.backend.backend() == "jax" and one_block:
        # Each shape of batch is compiled for itself: full ones only, and of a few sizes.
        size, full = min(size, 1 << (rows - 1).bit_length()), True
    out: np.ndarray = model.predict(Batches(arrays, None, size, full=full), verbose=0)
    return out[:rows]


def predict(model: Any, arrays: Arrays, objective: Objective) -> np.ndarray:
    """Predictions as the objective defines them, float64 (rows,) or (rows, classes)."""
    return objective.link(outputs(model, arrays).astype(np.float64))
