"""The loop of all stages: optimiser, schedule by steps, progress lines, checkpoints, go or no go.

The data of a step depend on the seed, the stage and the number of the step alone, and a checkpoint holds the state of
the optimiser: a stage that is stopped anywhere ends with the weights it would have had. What is measured and kept is
the moving average of the weights.

The loss of a step is a sum of parts. Workers share the parts out and add up their gradients, so that any number of
them takes the same steps.
"""

import copy
import os
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import distributed as dist


def save(path, state):
    """Writes beside the file and renames, so that a checkpoint is whole or absent."""
    part = Path(path).with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, part)
    os.replace(part, path)


class Stage:
    """One training stage.

    `parts`: functions of a random generator that give (a part of the loss, {name: number to log}).
    `evaluate(model)` gives {name: number}; `score` names the number held against `go`.
    `groups`: (parameters, share of the rate) pairs.
    """

    def __init__(self, name, config, model, groups, parts, evaluate, score, work):
        self.name, self.config, self.model, self.work = name, config, model, Path(work)
        self.settings = config[name]
        self.parts, self.evaluate, self.score = parts, evaluate, score
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        self.parameters, settings = [], []
        for parameters, share in groups:
            self.parameters += parameters
            for wanted, decay in ((True, config["optimiser"]["weight_decay"]), (False, 0.0)):
                chosen = [p for p in parameters if (p.ndim > 1) == wanted]
                settings.append({"params": chosen, "weight_decay": decay, "share": share})
        self.optimiser = torch.optim.AdamW(settings, lr=0.0, betas=tuple(config["optimiser"]["betas"]))
        self.step, self.elapsed = 0, 0.0
        self.worker, self.workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

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
        state = torch.load(self.path, weights_only=False)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        if self.worker == 0:
            print(f"{self.name}: resumed at step {self.step}", flush=True)

    def rate(self):
        """Warm-up, then constant, then down in a straight line over the last `decay` of the stage."""
        optimiser, end = self.config["optimiser"], self.config["optimiser"]["final_lr"]
        left = min(1.0, (1 - self.step / self.settings["steps"]) / self.settings["decay"])
        return self.settings["lr"] * (end + (1 - end) * left) * min(1.0, (self.step + 1) / optimiser["warmup_steps"])

    def one_step(self, totals):
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate() * group["share"]
        self.optimiser.zero_grad(set_to_none=True)
        for number, part in enumerate(self.parts):
            if number % self.workers == self.worker:
                rng = random.Random(f"{self.config['optimiser']['seed']} {self.name} {self.step} {number}")
                torch.manual_seed(rng.getrandbits(32))
                loss, numbers = part(rng)
                loss.backward()
                for name, value in numbers.items():
                    totals[name].append(float(value.detach()))
        if self.workers > 1:
            self.add_up()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config["optimiser"]["clip"])
        self.optimiser.step()
        self.step += 1
        self.follow()

    def add_up(self):
        """The sum of all workers' gradients, for each of them."""
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        whole = torch.cat([p.grad.flatten() for p in self.parameters])
        dist.all_reduce(whole)
        for p, part in zip(self.parameters, whole.split([p.numel() for p in self.parameters])):
            p.grad.copy_(part.view_as(p))

    def of_all(self, totals):
        """The means of the numbers of all workers."""
        gathered = [dict(totals)]
        if self.workers > 1:
            gathered = [None] * self.workers
            dist.all_gather_object(gathered, dict(totals))
        together = defaultdict(list)
        for one in gathered:
            for name, values in one.items():
                together[name] += values
        return {name: sum(values) / len(values) for name, values in sorted(together.items())}

    @torch.no_grad()
    def follow(self):
        """Moves the average of the weights, faster at the beginning; it is what is kept."""
        keep = min(self.config["optimiser"]["ema"], (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.average.parameters(), self.model.parameters()))
        torch._foreach_lerp_([a for a, _ in pairs], [p for _, p in pairs], 1 - keep)

    def report(self, numbers):
        if self.worker != 0:
            return
        words = " ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        print(f"{self.name} {self.elapsed / 60:5.1f} min step {self.step} {words}", flush=True)

    def run(self, minutes=None):
        """Trains up to the stage's steps, or for some minutes; True if the next stage may begin."""
        if self.done_path.exists():
            print(f"{self.name}: already done", flush=True)
            return True
        self.resume()
        logging, totals = self.config["logging"], defaultdict(list)
        saved = begun = self.elapsed
        while self.step < self.settings["steps"]:
            started = time.monotonic()
            self.one_step(totals)
            self.elapsed += time.monotonic() - started
            if self.step % logging["every_steps"] == 0:
                self.report(self.of_all(totals))
                totals.clear()
                if minutes is not None and self.first_says(self.elapsed - begun > 60 * minutes):
                    self.keep()
                    return False
            if self.step % self.settings["evaluate_steps"] == 0 and self.worker == 0:
                self.measure()
            if self.elapsed - saved > 60 * logging["checkpoint_minutes"]:
                saved = self.elapsed
                self.keep()
        if self.worker != 0:
            return True
        numbers = self.measure()
        self.keep()
        return self.decide(numbers)

    def first_says(self, value):
        """The first worker's word for it, to all of them."""
        said = [value]
        if self.workers > 1:
            dist.broadcast_object_list(said)
        return said[0]

    def keep(self):
        if self.worker == 0:
            save(self.path, self.state())

    def measure(self):
        with torch.no_grad():
            numbers = self.evaluate(self.average)
        self.report(numbers)
        return numbers

    def decide(self, numbers):
        """The check at the end of a stage."""
        value, bar = numbers[self.score], self.settings["go"]
        if value < bar:
            print(f"{self.name}: NO GO: {self.score} {value:.3f} is below {bar}. Give the stage more steps in "
                  f"config.toml and run again: it resumes.", flush=True)
            return False
        save(self.done_path, {"model": self.average.state_dict()})
        print(f"{self.name}: go: {self.score} {value:.3f} (bar {bar})", flush=True)
        return True
