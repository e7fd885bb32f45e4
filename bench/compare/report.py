"""Tables, data and plot of a comparison."""

import dataclasses
import json
import os
import platform
import statistics
from math import log10

from surroundings import ROOT

PAGE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- bench/compare: begin -->\n", "<!-- bench/compare: end -->\n"


@dataclasses.dataclass
class About:
    """How it was measured. Peaks are MiB by tool."""

    rounds: int
    workers: int
    load: tuple
    peaks: dict
    foreign: bool


def rate(row, seconds):
    """Files, or MiB, in a second."""
    return (row.mib or row.files) / seconds


def shown(row, values):
    """The median of rates, and how far they lie apart."""
    rates = [rate(row, value) for value in values]
    digits = 0 if statistics.median(rates) >= 100 else 1
    return f"{statistics.median(rates):,.{digits}f} ({min(rates):,.{digits}f} to {max(rates):,.{digits}f})"


def ratio(row, took, label, other):
    """How many times as fast as another we are, by medians; None if the other was not measured."""
    if (label, other) not in took:
        return None
    return statistics.median(took[label, other]) / statistics.median(took[label, "ours"])


def processor():
    with open("/proc/cpuinfo") as facts:
        return next((line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")), platform.machine())


def markdown(found, about):
    lines = ["| tree | work | irods_sync | Python tool | ratio | limit | share of it |", "|---|---|---|---|---|---|---|"]
    for row, took in found:
        unit = "MiB/s" if row.mib else "files/s"
        for step in row.steps:
            label = step.label
            times = ratio(row, took, label, "python")
            python = shown(row, took[label, "python"]) if times else "not run"
            limits = [name for name, _ in step.limits] or [None]
            for place, limit in enumerate(limits):
                ends = ["", ""] if limit is None else [f"{limit}: {shown(row, took[label, limit])}", f"{ratio(row, took, label, limit):.2f}"]
                begins = [row.name, label, f"{shown(row, took[label, 'ours'])} {unit}", python, f"{times:,.1f}" if times else ""]
                lines.append("| " + " | ".join((begins if place == 0 else [""] * 5) + ends) + " |")
    machine = f"{os.cpu_count()} cores ({processor()}), {about.rounds} rounds, {about.workers} tasks at once for each tool"
    zone = "a zone of its own making" if about.foreign else "the embedded zone, in a process of its own"
    lines += [
        "",
        f"{machine}, {zone}; load {about.load[0]:.1f} before and {about.load[1]:.1f} after. Medians, in brackets the slowest and the fastest round.",
        f"Peak memory: worker of irods_sync {about.peaks['ours']:.0f} MiB, processes of the Python tool {about.peaks['python']:.0f} MiB.",
        "",
    ]
    return "\n".join(lines)


def data(found, about):
    """Everything that was measured, in seconds."""
    measured = [
        {"tree": row.name, "files": row.files, "mib": row.mib, "work": label, "who": who, "seconds": values}
        for row, took in found
        for (label, who), values in took.items()
    ]
    return {"rounds": about.rounds, "workers": about.workers, "load": about.load, "peak_mib": about.peaks, "measured": measured}


def plot(found):
    """Bars, as long as the logarithm of the ratio to the Python tool."""
    bars = [
        (f"{row.name}: {step.label}", times)
        for row, took in found
        for step in row.steps
        if (times := ratio(row, took, step.label, "python"))
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
        length = max(log10(times) * scale, 1)
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
        parts.append(f'<rect x="{left}" y="{y + 3}" width="{length:.0f}" height="{high - 8}" fill="#3b6ea5"/>')
        parts.append(f'<text x="{left + length + 5:.0f}" y="{y + 14}">{times:,.0f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def save(text, found, about):
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + text + END + after)
    (PAGE.parent / "compare.json").write_text(json.dumps(data(found, about), indent=1) + "\n")
    (PAGE.parent / "compare.svg").write_text(plot(found))
