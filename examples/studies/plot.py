#!/usr/bin/env python3
"""Draws what molink-simulate --csv wrote: one line for each combination of policies, with the 95 %
intervals of runs that differ in their seed alone.

    molink-simulate --cluster three-4090.json --workload poisson.json --poisson 0.5,1,2,4 \\
        --scheduler adaptive,depth --seeds 5 --csv all.csv
    plot.py all.csv --x poisson_per_s --y ttft_p99_us --out ttft.png

Needs matplotlib for the picture; --table prints the same numbers and needs nothing.
"""
import argparse
import csv
import math
import sys

LABELS = ("model", "weights", "scheduler", "transmit", "partitioner", "cluster", "wire")
AXES = ("mbit_per_s", "delay_ms", "poisson_per_s")
# The 97.5 % quantile of Student's t with 1 to 4 degrees of freedom, and of the normal distribution;
# lib/sim/mean_interval.cpp has the same and says where the expansion comes from.
FEW = (12.7062, 4.3027, 3.1824, 2.7764)
NORMAL = 1.959964


def student_quantile(freedom):
    if freedom <= len(FEW):
        return FEW[freedom - 1]
    n, z = freedom, NORMAL
    return (z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2) +
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3))


def mean_interval(values):
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, 0.0
    variance = sum((value - mean)**2 for value in values) / (n - 1)
    return mean, student_quantile(n - 1) * math.sqrt(variance / n)


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if not rows:
        sys.exit(f"plot.py: '{path}' has no runs")
    for row in rows:
        if row["failure"]:
            sys.exit(f"plot.py: the run of {row['scheduler']} with seed {row['seed']} failed: "
                     f"{row['failure']}")
    return rows


def check_column(rows, name):
    if name not in rows[0]:
        sys.exit(f"plot.py: there is no column '{name}'; there are {', '.join(rows[0])}")


def series(rows, x, y):
    """{label: [(x, mean, half, runs)]}: labels name the columns in which runs differ."""
    varied = [name for name in LABELS + AXES
              if name != x and len({row[name] for row in rows}) > 1]
    groups = {}
    for row in rows:
        label = " ".join(row[name] if name in LABELS else f"{name} {float(row[name]):g}"
                         for name in varied) or row["scheduler"]
        groups.setdefault(label, {}).setdefault(row[x], []).append(float(row[y]))
    lines = {}
    for label, points in groups.items():
        lines[label] = [(place, *mean_interval(values), len(values))
                        for place, values in points.items()]
    return lines


def print_table(lines, x, y):
    width = max(len(label) for label in lines)
    print(f"{'':<{width}} {x:>16} {y:>20} {'+- 95 %':>12} {'runs':>5}")
    for label, points in lines.items():
        for place, mean, half, runs in points:
            print(f"{label:<{width}} {place:>16} {mean:>20.6g} {half:>12.3g} {runs:>5}")


def draw(lines, x, y, out):
    try:
        import matplotlib
    except ImportError:
        sys.exit("plot.py: the picture needs matplotlib (Debian: python3-matplotlib, or pip "
                 "install matplotlib); --table prints the numbers without it")
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 5))
    names = [place for points in lines.values() for place, *_ in points]
    numeric = x not in LABELS
    places = sorted(set(names), key=float) if numeric else list(dict.fromkeys(names))
    for label, points in lines.items():
        known = {place: (mean, half) for place, mean, half, _ in points}
        at = [place for place in places if place in known]
        axes.errorbar([float(place) if numeric else places.index(place) for place in at],
                      [known[place][0] for place in at], yerr=[known[place][1] for place in at],
                      marker="o", capsize=3, label=label)
    if not numeric:
        axes.set_xticks(range(len(places)), places)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out)
    print(f"wrote {out}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", help="what molink-simulate --csv wrote")
    parser.add_argument("--x", default="scheduler", help="column of the horizontal axis")
    parser.add_argument("--y", default="output_tokens_per_s", help="column of the vertical axis")
    parser.add_argument("--out", default="study.png", help="the picture: .png, .svg or .pdf")
    parser.add_argument("--table", action="store_true", help="print the numbers, draw nothing")
    flags = parser.parse_args()
    rows = read_rows(flags.csv)
    check_column(rows, flags.x)
    check_column(rows, flags.y)
    lines = series(rows, flags.x, flags.y)
    if flags.table:
        print_table(lines, flags.x, flags.y)
    else:
        draw(lines, flags.x, flags.y, flags.out)


if __name__ == "__main__":
    main()
