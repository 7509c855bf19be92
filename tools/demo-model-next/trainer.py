"""The loop all stages share: optimiser, schedule, progress lines, checkpoints, go or no-go.

The data of a step depend on the seed, the stage and the number of the step alone, and a checkpoint holds the state of
the optimiser: a stage that is stopped anywhere ends with the weights it would have had.
"""

import os
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import distributed


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
    kept = torch.load(path, weights_only=False, map_location=torch.get_default_device())["model"]
    missing, unexpected = model.load_state_dict(kept, strict=False)
    tokenizer = next(iter(kept)).startswith("model.vqmodel.")
    if unexpected or any(name.startswith("model.vqmodel.") == tokenizer for name in missing):
        raise SystemExit(f"{path} does not fit config.toml")


def place():
    """This process among those that train together: (its number, how many)."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def add_gradients(parameters):
    """Gives every process the sum of all gradients."""
    if place()[1] == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters])
    distributed.all_reduce(flat)
    for parameter, part in zip(parameters, flat.split([parameter.numel() for parameter in parameters])):
        parameter.grad.copy_(part.view_as(parameter))


def agreed(seconds):
    """The clock of the first process, for all."""
    if place()[1] == 1:
        return seconds
    clock = torch.tensor(seconds, dtype=torch.float64)
    distributed.broadcast(clock, 0)
    return clock.item()


def gathered(totals):
    """What all processes have to log."""
    if place()[1] == 1:
        return totals
    parts, sums = [None] * place()[1], {}
    distributed.all_gather_object(parts, {name: tuple(total) for name, total in totals.items()})
    for part in parts:
        for name, total in part.items():
            sums[name] = [a + b for a, b in zip(sums.get(name, (0, 0)), total)]
    return sums


class Stage:
    """One training stage.

    `loss(rng)` gives the micro-batches of a step as functions, each to (loss tensor to step on, {name: (sum, weight)}
    to log); their gradients add up, so several processes can share them. The parameters of `modules` are trained, all
    others are frozen. `evaluate()` gives {name: number}; `score` names the number held against `go`. With `minutes`,
    the stage ends after so many, its rate fallen by the clock instead of by the steps.
    """

    def __init__(self, name, config, model, modules, loss, evaluate, score, work, extra=None, minutes=None):
        self.name, self.config, self.model, self.work = name, config, model, Path(work)
        self.settings, self.extra, self.minutes = config[name], extra, minutes
        self.loss, self.evaluate, self.score = loss, evaluate, score
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
            [group for group in groups if group["params"]], lr=self.settings["lr"], betas=tuple(optimiser["betas"]))
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
                "step": self.step, "elapsed": self.elapsed}

    def resume(self):
        if not self.path.exists():
            return
        state = torch.load(self.path, weights_only=False, map_location=torch.get_default_device())
        self.model.load_state_dict(state["model"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.extra:
            self.extra.load_state_dict(state["extra"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        print(f"{self.name}: resumed at step {self.step}, {self.elapsed / 60:.1f} min", flush=True)

    def progress(self):
        """The share of the stage that is behind, 0 to 1."""
        done = self.step / self.settings["steps"]
        return max(done, self.elapsed / (60 * self.minutes)) if self.minutes else done

    def rate(self):
        """Warm-up, then constant, then down in a straight line over the last `decay` of the stage."""
        optimiser = self.config["optimiser"]
        left = min(1.0, (1 - self.progress()) / max(self.settings["decay"], 1e-9))
        end = optimiser["final_lr"]
        return self.settings["lr"] * (end + (1 - end) * left) * min(1.0, (self.step + 1) / optimiser["warmup_steps"])

    def one_step(self, totals):
        rng = random.Random(f"{self.config['optimiser']['seed']} {self.name} {self.step}")
        torch.manual_seed(rng.getrandbits(32))
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate() * group["share"]
        self.optimiser.zero_grad(set_to_none=True)
        rank, workers = place()
        for number, micro_batch in enumerate(self.loss(rng)):
            if number % workers == rank:
                loss, numbers = micro_batch()
                loss.backward()
                for name, (value, weight) in numbers.items():
                    totals[name][0] += float(value)
                    totals[name][1] += weight
        add_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config["optimiser"]["clip"])
        self.optimiser.step()
        self.step += 1

    def report(self, numbers):
        if place()[0]:
            return
        words = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"{self.name} {self.elapsed / 60:5.1f} min step {self.step} {words}", flush=True)

    def run(self):
        """Trains to the end of the stage, from the last checkpoint if there is one; True if it may go on."""
        if self.done_path.exists():
            load_weights(self.model, self.done_path)
            print(f"{self.name}: already done", flush=True)
            return True
        self.resume()
        logging, totals = self.config["logging"], defaultdict(lambda: [0.0, 0.0])
        saved = evaluated = self.elapsed
        self.model.train()
        while self.progress() < 1:
            started = time.monotonic()
            self.one_step(totals)
            self.elapsed = agreed(self.elapsed + time.monotonic() - started)
            if self.step % logging["every_steps"] == 0:
                self.report({name: total / weight for name, (total, weight) in gathered(totals).items()})
                totals.clear()
            if self.elapsed - evaluated > 60 * logging["evaluate_minutes"]:
                evaluated = self.elapsed
                self.measure()
            if self.elapsed - saved > 60 * logging["checkpoint_minutes"]:
                saved = self.elapsed
                self.save()
        self.save()
        return place()[0] > 0 or self.decide(self.measure())

    def save(self):
        if place()[0] == 0:
            save(self.path, self.state())

    def measure(self):
        if place()[0]:
            return None
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
            print(f"{self.name}: NO GO: {self.score} {value:.3f} is below {bar}. Give the stage more steps "
                  f"in config.toml and run again: it resumes.", flush=True)
            return False
        save(self.done_path, {"model": self.kept()})
        print(f"{self.name}: go: {self.score} {value:.3f} (bar {bar})", flush=True)
        return True
