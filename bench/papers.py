#!/usr/bin/env python3
"""How long a paper takes in a register of many sites, each of which uses many processors.

    cargo build --release && bench/papers.py            # 1,000 sites that use 20 processors each; limit 1 s
    bench/papers.py --sites 1000 --processors 20 --forgetd target/release/forgetd

Every export is run three times as a user runs it; the median is printed.
"""

import argparse
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 1.0  # seconds

PAPERS = {
    "article30": ["html", "csv", "json"],
    "article30-processor": ["html", "csv", "json"],
    "privacy-notice": ["html", "md"],
    "visitor-notice": ["html", "md"],
    "cookies": ["html", "md", "csv", "json"],
    "agreement-annex": ["html", "md"],
    "cookieconsent": ["js", "json"],
    "klaro": ["js", "json"],
}


def write_installation(directory, sites, processors):
    config = directory / "config"
    (config / "sites").mkdir(parents=True)
    (config / "processors").mkdir()
    shutil.copyfile(ROOT / "config/categories.toml", config / "categories.toml")
    (config / "forgetd.toml").write_text(
        f'state-dir = "{directory / "state"}"\n[controller]\nname = "Shop s.r.o."\n'
    )
    shipped = (ROOT / "config/processors/smartsupp.toml").read_text()
    for number in range(processors):
        text = shipped.replace('id = "smartsupp"', f'id = "chat-{number}"')
        text = text.replace('name = "Smartsupp.com, s.r.o."', f'name = "Chat {number} s.r.o."')
        (config / f"processors/chat-{number}.toml").write_text(text)
    used = "".join(
        f'[[processor]]\nid = "chat-{number}"\nchat-key = "key{number}"\n'
        f'features = ["chat", "analytics", "marketing"]\nagreement = 2026-01-10\n'
        for number in range(processors)
    )
    for number in range(sites):
        (config / f"sites/shop-{number}.example.toml").write_text(
            f'domain = "shop-{number}.example"\ntime-zone = "Europe/Prague"\nschedule = "30 3 * * *"\n{used}'
            '[retention]\nvisit = "6 months"\ncontact = "2 years"\nconversation = "2 years"\n'
        )
    return config


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sites", type=int, default=1000)
    options.add_argument("--processors", type=int, default=20)
    options.add_argument("--forgetd", type=pathlib.Path, default=ROOT / "target/release/forgetd")
    given = options.parse_args()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as directory:
        config = write_installation(pathlib.Path(directory), given.sites, given.processors)
        print(f"{given.sites:,} sites × {given.processors} processors\n\n| paper | form | seconds |\n|---|---|---|")
        for paper, forms in PAPERS.items():
            for form in forms:
                command = [given.forgetd, "--config", config, "register", "export", paper]
                command += ["--site", "shop-7.example", "--format", form]
                took = []
                for _ in range(3):
                    begun = time.monotonic()
                    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                    took.append(time.monotonic() - begun)
                median = statistics.median(took)
                slowest = max(slowest, median)
                print(f"| `{paper}` | {form} | {median:.2f} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    verdict = "met" if slowest < LIMIT else "MISSED"
    print(f"\nSlowest {slowest:.2f} s (limit {LIMIT:.0f} s: {verdict}); peak memory {peak:.0f} MiB")
    return 0 if slowest < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
