"""Tests the official, unmodified OpenAI Python client with molink-serve over three processes.

It is not part of tests/run.sh, because it needs PyPI:

    python3 -m venv venv && venv/bin/pip install openai
    venv/bin/python tests/clients/openai_client.py --bin build/test/bin

It starts a head with HTTP and two workers on loopback with the bundled model, and prints one line
per check. The exit status is 1 if a check failed.
"""

import argparse
import concurrent.futures
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import openai

PROMPT = "In the beginning"
FAILED = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check(name, good, detail=""):
    print(f"{'ok  ' if good else 'FAIL'} {name} {detail}", flush=True)
    if not good:
        FAILED.append(name)


def start(bin_dir, model, join, http):
    head = [bin_dir / "molink-serve", "--model", model, "--stages", "3", "--listen", join,
            "--partitioner", "even",
            "--http", f"127.0.0.1:{http}", "--max-running", "32", "--threads", "1"]
    worker = [bin_dir / "molink-worker", "--model", model, "--join", join, "--threads", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [subprocess.Popen([str(part) for part in command], **quiet)
            for command in (head, worker, worker)]


def wait_ready(http):
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("molink-serve did not become ready within 30 s")


def metric(http, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
    return None


def expect_error(name, kind, call, words):
    try:
        call()
        check(name, False, "no error")
    except kind as error:
        check(name, words in str(error), str(error)[:100])


def check_basics(client):
    models = [model.id for model in client.models.list()]
    check("list models", models == ["kjv"], str(models))
    check("retrieve model", client.models.retrieve("kjv").id == "kjv")
    whole = client.completions.create(model="kjv", prompt=PROMPT, max_tokens=24, temperature=0)
    check("complete", len(whole.choices[0].text) > 20 and whole.usage.completion_tokens == 24,
          repr(whole.choices[0].text[:40]))
    pieces = list(client.completions.create(model="kjv", prompt=PROMPT, max_tokens=24,
                                            temperature=0, stream=True,
                                            stream_options={"include_usage": True}))
    text = "".join(piece.choices[0].text for piece in pieces if piece.choices)
    check("the stream equals the whole text", text == whole.choices[0].text)
    check("stream usage", pieces[-1].usage.completion_tokens == 24)
    return whole.choices[0].text


def check_options(client, greedy):
    answer = client.completions.create(model="kjv", prompt=PROMPT, max_tokens=8, temperature=0,
                                       logprobs=3)
    logprobs = answer.choices[0].logprobs
    best = all(max(top.values()) == value
               for top, value in zip(logprobs.top_logprobs, logprobs.token_logprobs))
    check("logprobs", len(logprobs.tokens) == 8 and best and
          "".join(logprobs.tokens) == answer.choices[0].text)
    one, two = (client.completions.create(model="kjv", prompt=PROMPT, max_tokens=16, n=3, seed=7,
                                          temperature=1.0) for _ in range(2))
    check("seed and n", [c.text for c in one.choices] == [c.text for c in two.choices] and
          len({c.text for c in one.choices}) > 1)
    stop = greedy[10:13]
    stopped = client.completions.create(model="kjv", prompt=PROMPT, max_tokens=24, temperature=0,
                                        stop=[stop])
    check("stop string", stopped.choices[0].finish_reason == "stop" and
          stopped.choices[0].text == greedy[:greedy.index(stop)])
    many = client.completions.create(model="kjv", prompt=[PROMPT, "And God said"], max_tokens=5,
                                     temperature=0)
    check("two prompts", [choice.index for choice in many.choices] == [0, 1])
    extra = client.completions.create(model="kjv", prompt=[5, 6, 7], max_tokens=30, temperature=0,
                                      extra_body={"min_tokens": 30, "ignore_eos": True})
    check("token ids and extensions", extra.usage.completion_tokens == 30)


def check_errors(client):
    expect_error("wrong model", openai.NotFoundError,
                 lambda: client.completions.create(model="gpt", prompt=PROMPT), "does not exist")
    expect_error("over-long prompt", openai.BadRequestError,
                 lambda: client.completions.create(model="kjv", prompt=[5] * 5000),
                 "the prompt has 5000 tokens")
    expect_error("wrong option", openai.BadRequestError,
                 lambda: client.completions.create(model="kjv", prompt=PROMPT, temperature=-1),
                 "temperature")


def check_cancel(client, http):
    name = 'molink_completions_total{outcome="cancelled"}'
    before = metric(http, name)
    stream = client.completions.create(model="kjv", prompt=PROMPT, max_tokens=1500, stream=True,
                                       extra_body={"ignore_eos": True})
    for count, _ in enumerate(stream):
        if count == 5:
            break
    stream.close()
    for _ in range(100):
        if metric(http, name) > before and metric(http, "molink_sequences_running") == 0:
            break
        time.sleep(0.05)
    check("cancel during a stream", metric(http, name) == before + 1 and
          metric(http, "molink_sequences_running") == 0)


def check_many(client):
    prompts = [f"{PROMPT} {number}" for number in range(64)]

    def ask(prompt):
        return client.completions.create(model="kjv", prompt=prompt, max_tokens=20,
                                         temperature=0).choices[0].text

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        together = list(pool.map(ask, prompts))
    check("64 at once", together == [ask(prompt) for prompt in prompts])


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=root / "build/test/bin")
    parser.add_argument("--model", type=pathlib.Path, default=root / "examples/models/kjv")
    flags = parser.parse_args()
    http = free_port()
    processes = start(flags.bin, flags.model, f"tcp://127.0.0.1:{free_port()}", http)
    try:
        wait_ready(http)
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{http}/v1", api_key="none",
                               max_retries=0)
        print("openai", openai.__version__)
        greedy = check_basics(client)
        check_options(client, greedy)
        check_errors(client)
        check_cancel(client, http)
        check_many(client)
    finally:
        processes[0].terminate()
        statuses = [process.wait(timeout=20) for process in processes]
    check("all processes end with status 0", statuses == [0, 0, 0], str(statuses))
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
