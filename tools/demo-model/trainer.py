"""The loop all stages share: optimiser, schedule by the clock, progress lines, checkpoints."""

import math
import os
import random
import time
from collections import defaultdict
from pathlib import Path

import torch


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
    kept = torch.load(path, weights_only=False)["model"]
    missing, unexpected = model.load_state_dict(kept, strict=False)
    tokenizer = next(iter(kept)).startswith("model.vqmodel.")
    if unexpected or any(name.startswith("model.vqmodel.") == tokenizer for name in missing):
        raise SystemExit(f"{path} does not fit config.toml")


class Stage:
    """One training stage.

    `loss(rng)` gives (loss tensor to step on, {name: number} to log); `parameters` are trained, all others
    are frozen. `evaluate()` gives {name: number}; `score` names the number held against `go`.
    """

    def __init__(self, name, config, model, modules, loss, evaluate, score, work, extra=None):
        self.name, self.config, self.model, self.work = name, config, model, Path(work)
        self.settings, self.extra = config[name], extra
        self.loss, self.evaluate, self.score = loss, evaluate, score
        model.requires_grad_(False)
        self.parameters = []
        for module in modules:
            module.requires_grad_(True)
            self.parameters += list(module.parameters())
        optimiser = config["optimiser"]
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": optimiser["weight_decay"]},
             {"params": vectors, "weight_decay": 0.0}],
            lr=self.settings["lr"], betas=tuple(optimiser["betas"]))
        self.rng = random.Random(optimiser["seed"] * 1000 + sum(map(ord, name)))
        self.step, self.elapsed = 0, 0.0

    @property
    def path(self):
        return self.work / f"{self.name}.pt"

    @property
    def done_path(self):
        return self.work / f"{self.name}.done.pt"

    def kept(self):
        return weights(self.model, self.name == "stage0_tokenizer")

    def state(self):
        return {"model": self.kept(), "optimiser": self.optimiser.state_dict(),
                "extra": self.extra.state_dict() if self.extra else None,
                "step": self.step, "elapsed": self.elapsed, "rng": self.rng.getstate(),
                "torch_rng": torch.get_rng_state()}

    def resume(self):
        if not self.path.exists():
            return
        state = torch.load(self.path, weights_only=False)
        self.model.load_state_dict(state["model"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.extra:
            self.extra.load_state_dict(state["extra"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.rng.setstate(state["rng"])
        torch.set_rng_state(state["torch_rng"])
        print(f"{self.name}: resumed at step {self.step}, {self.elapsed / 60:.1f} min", flush=True)

    def rate(self):
        """Warm-up by steps, then half a cosine by the share of the minutes used."""
        optimiser = self.config["optimiser"]
        used = min(1.0, self.elapsed / (60 * self.settings["minutes"]))
        end = optimiser["final_lr"]
        cosine = end + (1 - end) * 0.5 * (1 + math.cos(math.pi * used))
        return self.settings["lr"] * cosine * min(1.0, (self.step + 1) / optimiser["warmup_steps"])

    def one_step(self, totals):
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad(set_to_none=True)
        for loss, numbers in self.loss(self.rng):  # micro-batches; their gradients add up
            loss.backward()
            for name, (value, weight) in numbers.items():
                totals[name][0] += float(value)
                totals[name][1] += weight
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config["optimiser"]["clip"])
        self.optimiser.step()
        self.step += 1

    def report(self, numbers):
        words = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"{self.name} {self.elapsed / 60:5.1f} min step {self.step} {words}", flush=True)

    def run(self):
        """Trains for the stage's minutes (counted over all interruptions); True if it may go on."""
        if self.done_path.exists():
            load_weights(self.model, self.done_path)
            print(f"{self.name}: already done", flush=True)
            return True
        self.resume()
        logging, totals = self.config["logging"], defaultdict(lambda: [0.0, 0.0])
        saved = evaluated = self.elapsed
        self.model.train()
        while self.elapsed < 60 * self.settings["minutes"]:
            started = time.monotonic()
            self.one_step(totals)
            self.elapsed += time.monotonic() - started
            if self.step % logging["every_steps"] == 0:
                self.report({name: total / max(weight, 1e-9) for name, (total, weight) in totals.items()})
                totals.clear()
            if self.elapsed - evaluated > 60 * logging["evaluate_minutes"]:
                evaluated = self.elapsed
                self.measure()
            if self.elapsed - saved > 60 * logging["checkpoint_minutes"]:
                saved = self.elapsed
                save(self.path, self.state())
        numbers = self.measure()
        save(self.path, self.state())
        return self.decide(numbers)

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
        if value < bar:
            print(f"{self.name}: NO GO: {self.score} {value:.3f} is below {bar}. Give the stage more minutes "
                  f"in config.toml and run again: it resumes.", flush=True)
            return False
        save(self.done_path, {"model": self.kept()})
        print(f"{self.name}: go: {self.score} {value:.3f} (bar {bar})", flush=True)
        return True
