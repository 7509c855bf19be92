"""The loop of all stages: optimiser, schedule, progress lines, checkpoints, go or no go.

The data of a step depend on the seed, the stage and the number of the step alone, and a checkpoint holds the state of
the optimiser: a stage that is stopped anywhere ends with the weights it would have had. What is measured and kept is
the moving average of the weights.

A graphics card waits for nothing here: the data of coming steps are made in processes beside (data.py), and no step
reads a number back.
"""

import copy
import os
import time
from pathlib import Path

import torch

from data import batches, unpacked


def save(path, state):
    """Writes beside the file and renames, so that a checkpoint is whole or absent."""
    part = Path(path).with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, part)
    os.replace(part, path)


def load(path, device="cpu"):
    return torch.load(path, weights_only=False, map_location=device)


class Stage:
    """One training stage.

    `data(rng)`: a step's {name: array of integers}, made on the CPU.
    `loss(data)`: (loss, {name: number to log}) of such data, on the device, as tensors.
    `evaluate(model)` gives {name: number}; `score` names the number held against `go`.
    `groups`: (parameters, share of the rate) pairs.
    `options`: `work` (folder), `device`, `loaders` (processes), `minutes`: if given, the stage ends after so many
    instead of by its steps, its rate fallen by the clock.
    """

    def __init__(self, name, config, model, groups, data, loss, evaluate, score, options):
        self.name, self.config, self.model, self.options = name, config, model.to(options.device), options
        self.settings, self.work = config[name], Path(options.work)
        self.data, self.loss, self.evaluate, self.score = data, loss, evaluate, score
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        self.parameters, settings = [], []
        for parameters, share in groups:
            self.parameters += parameters
            for wanted, decay in ((True, config["optimiser"]["weight_decay"]), (False, 0.0)):
                chosen = [p for p in parameters if (p.ndim > 1) == wanted]
                settings.append({"params": chosen, "weight_decay": decay, "share": share})
        betas = tuple(config["optimiser"]["betas"])
        self.optimiser = torch.optim.AdamW(settings, lr=0.0, betas=betas, fused=True)
        self.step, self.elapsed = 0, 0.0

    @property
    def path(self):
        return self.work / f"{self.name}.pt"

    @property
    def done_path(self):
        return self.work / f"{self.name}.done.pt"

    def state(self):
        return {"model": self.model.state_dict(), "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(), "step": self.step, "elapsed": self.elapsed}

    def resume(self):
        if not self.path.exists():
            return
        state = load(self.path, self.options.device)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        print(f"{self.name}: resumed at step {self.step}", flush=True)

    def progress(self):
        """The share of the stage that is behind, 0 to 1."""
        if self.options.minutes:
            return self.elapsed / (60 * self.options.minutes)
        return self.step / self.settings["steps"]

    def rate(self):
        """Warm-up, then constant, then down in a straight line over the last `decay` of the stage."""
        optimiser, end = self.config["optimiser"], self.config["optimiser"]["final_lr"]
        left = min(1.0, max(0.0, 1 - self.progress()) / self.settings["decay"])
        return self.settings["lr"] * (end + (1 - end) * left) * min(1.0, (self.step + 1) / optimiser["warmup_steps"])

    def one_step(self, data):
        """Steps on one batch; gives the numbers to log."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate() * group["share"]
        torch.manual_seed(self.config["optimiser"]["seed"] * 1_000_003 + self.step)
        loss, numbers = self.loss(data)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config["optimiser"]["clip"])
        self.optimiser.step()
        self.step += 1
        self.follow()
        return numbers

    @torch.no_grad()
    def follow(self):
        """Moves the average of the weights, faster at the beginning; it is what is kept."""
        keep = min(self.config["optimiser"]["ema"], (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)

    def report(self, numbers):
        words = " ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        print(f"{self.name} {self.elapsed / 60:5.2f} min step {self.step} {words}", flush=True)

    def run(self):
        """Trains to the end of the stage, from the last checkpoint if there is one; True if the next may begin."""
        if self.done_path.exists():
            print(f"{self.name}: already done", flush=True)
            return True
        self.resume()
        logging, coming = self.config["logging"], None
        begun, totals, waited = time.monotonic() - self.elapsed, {}, 0.0
        saved = reported = self.elapsed
        while self.progress() < 1:
            before = time.monotonic()
            if coming is None:
                coming = batches(self.name, self.config, self.data, self.step, self.options)
            data = unpacked(*next(coming), self.options.device)
            waited += time.monotonic() - before
            for name, value in self.one_step(data).items():
                totals[name] = totals.get(name, 0) + value.detach()
            self.elapsed = time.monotonic() - begun
            if self.step % logging["every_steps"] == 0:
                means = (torch.stack(list(totals.values())) / logging["every_steps"]).tolist()
                spent = time.monotonic() - begun - reported
                self.report({**dict(zip(totals, means)), "steps_per_s": logging["every_steps"] / spent,
                             "waiting": waited / spent})
                totals, waited, reported = {}, 0.0, time.monotonic() - begun
            if self.step % self.settings["evaluate_steps"] == 0:
                self.measure()
            if self.elapsed - saved > 60 * logging["checkpoint_minutes"]:
                saved = self.elapsed
                save(self.path, self.state())
        save(self.path, self.state())
        return self.decide(self.measure())

    def measure(self):
        with torch.no_grad():
            numbers = self.evaluate(self.average)
        self.report(numbers)
        return numbers

    def decide(self, numbers):
        """The check at the end of a stage."""
        value, bar = numbers[self.score], self.settings["go"]
        if value < bar:
            print(f"{self.name}: NO GO: {self.score} {value:.3f} is below {bar}. Give the stage more time and run "
                  f"again: it resumes.", flush=True)
            return False
        save(self.done_path, {"model": self.average.state_dict()})
        print(f"{self.name}: go: {self.score} {value:.3f} (bar {bar})", flush=True)
        return True
