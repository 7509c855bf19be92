"""The loop all stages share: data, optimiser, schedule, progress lines, checkpoints, go or no-go.

The data of a step depend on the seed, the stage and the number of the step alone, and a checkpoint holds the state of
the optimiser: a stage that is stopped anywhere ends with the weights it would have had. Data are made ahead by other
processes, and the loop never waits for the device but to log: a small model is done before the next kernel is asked for.
"""

import itertools
import os
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset


def save(path, state):
    """Writes beside the file and renames, so that a checkpoint is whole or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def weights(model, tokenizer):
    """The weights a stage keeps: the tokenizer's, or all others. The two are trained side by side."""
    return {name: value for name, value in model.state_dict().items()
            if name.startswith("model.vqmodel.") == tokenizer}


def load_weights(model, path):
    """Loads what a finished stage kept."""
    kept = torch.load(path, weights_only=False, map_location="cpu")["model"]
    missing, unexpected = model.load_state_dict(kept, strict=False)
    tokenizer = next(iter(kept)).startswith("model.vqmodel.")
    if unexpected or any(name.startswith("model.vqmodel.") == tokenizer for name in missing):
        raise SystemExit(f"{path} does not fit config.toml")


class Steps(Dataset):
    """The batch of every step, by its number; arrays by name."""

    def __init__(self, name, seed, batch):
        self.name, self.seed, self.batch = name, seed, batch

    def __getitem__(self, step):
        return self.batch(random.Random(f"{self.seed} {self.name} {step}"))


def as_they_are(arrays):
    """Arrays go through a pipe; as tensors they would need shared memory."""
    return arrays


def send(arrays, device):
    """Arrays to tensors on the device, without waiting for it."""
    if device.type == "cpu":
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: torch.from_numpy(array).pin_memory().to(device, non_blocking=True)
            for name, array in arrays.items()}


class Stage:
    """One training stage.

    `batch(rng)` gives the data of a step as arrays by name, in any process; `loss(tensors)` the loss to step on and
    {name: (value, weight)} to log. The parameters of `modules` are trained, all others are frozen. `evaluate()` gives
    {name: number}; `score` names the number held against `go`. With `minutes`, the stage ends after so many, its rate
    fallen by the clock instead of by the steps.
    """

    def __init__(self, name, config, model, modules, batch, loss, evaluate, score, run, extra=None):
        self.name, self.config, self.model, self.options = name, config, model, run
        self.settings, self.extra, self.minutes = config[name], extra, run.minutes
        self.batch, self.loss, self.evaluate, self.score = batch, loss, evaluate, score
        self.device = next(model.parameters()).device
        model.requires_grad_(False)
        optimiser, groups, self.parameters = config["optimiser"], [], []
        for module in modules:
            module.requires_grad_(True)
            share = self.settings.get("vision_lr", 1.0) if module is model.model.vision_model else 1.0
            parameters = list(module.parameters())
            groups += [{"params": [p for p in parameters if p.ndim > 1], "share": share,
                        "weight_decay": optimiser["weight_decay"]},
                       {"params": [p for p in parameters if p.ndim <= 1], "share": share, "weight_decay": 0.0}]
            self.parameters += parameters
        self.optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=self.settings["lr"], betas=tuple(optimiser["betas"]),
            fused=True)
        self.step, self.elapsed, self.waited = 0, 0.0, 0.0

    @property
    def path(self):
        return self.options.work / f"{self.name}.pt"

    @property
    def done_path(self):
        return self.options.work / f"{self.name}.done.pt"

    def kept(self):
        return weights(self.model, self.name == "stage0_tokenizer")

    def state(self):
        return {"model": self.kept(), "optimiser": self.optimiser.state_dict(),
                "extra": self.extra.state_dict() if self.extra else None,
                "step": self.step, "elapsed": self.elapsed}

    def resume(self):
        if not self.path.exists():
            return
        state = torch.load(self.path, weights_only=False, map_location="cpu")
        self.model.load_state_dict(state["model"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.extra:
            self.extra.load_state_dict(state["extra"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        print(f"{self.name}: resumed at step {self.step}, {self.elapsed / 60:.1f} min", flush=True)

    def progress(self):
        """The share of the stage that is behind, 0 to 1."""
        return self.elapsed / (60 * self.minutes) if self.minutes else self.step / self.settings["steps"]

    def rate(self):
        """Warm-up, then constant, then down in a straight line over the last `decay` of the stage."""
        optimiser = self.config["optimiser"]
        left = min(1.0, (1 - self.progress()) / max(self.settings["decay"], 1e-9))
        end = optimiser["final_lr"]
        return self.settings["lr"] * (end + (1 - end) * left) * min(1.0, (self.step + 1) / optimiser["warmup_steps"])

    def loader(self):
        """The data of all steps from the present one on, made ahead in order."""
        steps = Steps(self.name, self.config["optimiser"]["seed"], self.batch)
        ahead = {"prefetch_factor": 4, "multiprocessing_context": "fork"} if self.options.workers else {}
        return iter(DataLoader(steps, batch_size=None, sampler=itertools.count(self.step), collate_fn=as_they_are,
                               num_workers=self.options.workers, **ahead))

    def one_step(self, data, totals):
        torch.manual_seed(self.config["optimiser"]["seed"] + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate() * group["share"]
        started = time.monotonic()
        arrays = next(data)
        self.waited += time.monotonic() - started
        self.optimiser.zero_grad(set_to_none=True)
        loss, numbers = self.loss(send(arrays, self.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config["optimiser"]["clip"])
        self.optimiser.step()
        self.step += 1
        for name, (value, weight) in numbers.items():
            totals[name][0] += value * weight
            totals[name][1] += weight

    def report(self, numbers):
        words = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"{self.name} {self.elapsed / 60:5.2f} min step {self.step} {words}", flush=True)

    def run(self):
        """Trains to the end of the stage, from the last checkpoint if there is one; True if it may go on."""
        if self.done_path.exists():
            load_weights(self.model, self.done_path)
            print(f"{self.name}: already done", flush=True)
            return True
        self.resume()
        logging, totals = self.config["logging"], defaultdict(lambda: [0.0, 0.0])
        self.model.train()
        data = self.loader()
        saved = evaluated = self.elapsed
        begun, before, logged = time.monotonic(), self.elapsed, (self.step, self.elapsed)
        while self.progress() < 1:
            self.one_step(data, totals)
            if self.step % logging["every_steps"] == 0:
                numbers = {name: float(total / weight) for name, (total, weight) in totals.items()}  # the device catches up
                self.elapsed = before + time.monotonic() - begun
                span = max(self.elapsed - logged[1], 1e-9)
                self.report(numbers | {"steps/s": (self.step - logged[0]) / span, "waiting": self.waited / span})
                totals.clear()
                self.waited, logged = 0.0, (self.step, self.elapsed)
            self.elapsed = before + time.monotonic() - begun
            if self.elapsed - evaluated > 60 * logging["evaluate_minutes"]:
                evaluated = self.elapsed
                self.measure()
            if self.elapsed - saved > 60 * logging["checkpoint_minutes"]:
                saved = self.elapsed
                save(self.path, self.state())
        save(self.path, self.state())
        return self.decide(self.measure())

    def measure(self):
        self.model.eval()
        with torch.no_grad():
            numbers = self.evaluate()
        self.model.train()
        self.report(numbers)
        return numbers

    def decide(self, numbers):
        """The go/no-go check at the end of a stage."""
        value, bar = numbers[self.score], self.settings["go"]
        if value < bar and not self.options.go_on:
            print(f"{self.name}: NO GO: {self.score} {value:.3f} is below {bar}. Give the stage more steps "
                  f"in config.toml and run again: it resumes.", flush=True)
            return False
        save(self.done_path, {"model": self.kept()})
        print(f"{self.name}: go: {self.score} {value:.3f} (bar {bar})", flush=True)
        return True
