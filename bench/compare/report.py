"""What was measured of each row, as data; table and plot of it.

A row's data: `tree`, `files`, `mib`, how it was measured (`rounds`, `workers`, `load` before and after, `machine`, `zone`), `peak_mib` by process,
`cache_bytes` of Redis for a file by tool, and `steps`: `work`, its `limits` by name, and `seconds` of each round by who.
"""

import dataclasses
import json
import statistics
from math import log10

from machine import processors, save_on_page
from surroundings import ROOT

DATA, PLOT = (ROOT / "docs" / name for name in ("compare.json", "compare.svg"))


@dataclasses.dataclass
class About:
    """How it was measured."""

    rounds: int
    workers: int
    load: tuple
    peaks: dict
    cache: dict
    foreign: bool


def measured(row, took, about):
    """A row's data, of seconds by (step, who)."""
    steps = []
    for step in row.steps:
        seconds = {who: values for (label, who), values in took.items() if label == step.label}
        steps.append({"work": step.label, "limits": [name for name, _ in step.limits], "seconds": seconds})
    return {
        "tree": row.name,
        "files": row.files,
        "mib": row.mib,
        "rounds": about.rounds,
        "workers": about.workers,
        "load": about.load,
        "machine": processors(),
        "zone": "a zone of its own making" if about.foreign else "the embedded zone, in a process of its own",
        "peak_mib": about.peaks,
        "cache_bytes": about.cache,
        "steps": steps,
    }


def shown(row, values):
    """The median of rates, of files or MiB a second, and how far they lie apart."""
    rates = [(row["mib"] or row["files"]) / value for value in values]
    digits = 0 if statistics.median(rates) >= 100 else 1
    return f"{statistics.median(rates):,.{digits}f} ({min(rates):,.{digits}f} to {max(rates):,.{digits}f})"


def ratio(step, other):
    """How many times as fast as another we are, by medians; None if the other was not measured."""
    if other not in step["seconds"]:
        return None
    return statistics.median(step["seconds"][other]) / statistics.median(step["seconds"]["ours"])


def markdown(found):
    """Tables of rows: rates, then what belongs to how they were measured."""
    found = list(found)
    lines = ["| tree | work | irods_sync | Python tool | ratio | limit | share of it |", "|---|---|---|---|---|---|---|"]
    for row in found:
        unit = "MiB/s" if row["mib"] else "files/s"
        for number, step in enumerate(row["steps"]):
            seconds = step["seconds"]
            times = ratio(step, "python")
            python = shown(row, seconds["python"]) if times else "not run"
            for place, limit in enumerate(step["limits"] or [None]):
                ends = ["", ""] if limit is None else [f"{limit}: {shown(row, seconds[limit])}", f"{ratio(step, limit):.2f}"]
                begins = ["" if number else row["tree"], step["work"], f"{shown(row, seconds['ours'])} {unit}", python, f"{times:,.1f}" if times else ""]
                lines.append("| " + " | ".join((begins if place == 0 else [""] * 5) + ends) + " |")
    lines += [
        "",
        "| tree | rounds | tasks at once | load before, after | peak MiB: worker of irods_sync | processes of the Python tool | zone | Redis | cache, bytes a file: irods_sync | Python tool |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        peaks = [f"{row['peak_mib'][who]:.0f}" if who in row["peak_mib"] else "" for who in ("ours", "python", "zone", "redis")]
        cache = [f"{row['cache_bytes'][who]:.1f}" if who in row["cache_bytes"] else "" for who in ("ours", "python")]
        load = f"{row['load'][0]:.1f}, {row['load'][1]:.1f}"
        lines.append("| " + " | ".join([row["tree"], str(row["rounds"]), str(row["workers"]), load, *peaks, *cache]) + " |")
    machines = sorted({f"{row['machine']}, {row['zone']}" for row in found})
    lines += ["", f"{'; '.join(machines)}. Medians, in brackets the slowest and the fastest round.", ""]
    return "\n".join(lines)


def plot(found):
    """Bars, as long as the logarithm of the ratio to the Python tool."""
    bars = [
        (f"{row['tree']}: {step['work']}", times)
        for row in found
        for step in row["steps"]
        if (times := ratio(step, "python"))
    ]
    left, wide, high = 330, 420, 24
    top = max([times for _, times in bars] + [10])
    decades = int(log10(top)) + 1
    scale = wide / decades
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + wide + 70} {high * len(bars) + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="16" font-weight="bold">times as fast as the Python tool (logarithmic)</text>',
    ]
    for decade in range(decades + 1):
        x = left + decade * scale
        parts.append(f'<line x1="{x:.0f}" y1="24" x2="{x:.0f}" y2="{28 + high * len(bars)}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.0f}" y="{42 + high * len(bars)}" text-anchor="middle" fill="#666">{10**decade:,}</text>')
    for number, (label, times) in enumerate(bars):
        y = 28 + number * high
        # Where the other tool is faster the bar is a line.
        length = max(log10(times) * scale, 1)
        told = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
        parts.append(f'<rect x="{left}" y="{y + 3}" width="{length:.0f}" height="{high - 8}" fill="#3b6ea5"/>')
        parts.append(f'<text x="{left + length + 5:.0f}" y="{y + 14}">{told}</text>')
    return "\n".join([*parts, "</svg>", ""])


def save(found, order):
    """Puts these rows in the place of those of their names, and draws page and plot of all, in that order."""
    there = json.loads(DATA.read_text()) if DATA.exists() else {}
    there |= found
    there = {name: there[name] for name in order if name in there}
    DATA.write_text(json.dumps(there, indent=1) + "\n")
    PLOT.write_text(plot(there.values()))
    save_on_page("bench/compare", markdown(there.values()))
