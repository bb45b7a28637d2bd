"""PyTorch on the networks of the model zoo, in float16 on one GPU: eager, as a CUDA graph, and torch.compile in mode
reduce-overhead. Prints one JSON object per network and batch: milliseconds, the median of many runs between events.

    python3 bench/pytorch.py resnet50:1,8 bert_base:1 …     NAME:BATCH[,BATCH][@SEQUENCE]

Compilation of all networks runs at once, in processes of their own; then each is timed alone: once the file that
START_FILE names exists, where that is set.
"""

import json
import multiprocessing
import os
import statistics
import sys
import time


def vision(name):
    import torch
    import torchvision

    model = getattr(torchvision.models, name)(weights=None).eval().half().cuda()
    model = model.to(memory_format=torch.channels_last)

    def inputs(batch, _):
        x = torch.rand(batch, 3, 224, 224, device="cuda", dtype=torch.half)
        return (x.to(memory_format=torch.channels_last),)

    return model, inputs


def text(name):
    import torch
    import transformers

    if name.startswith("gpt2"):
        config = transformers.GPT2Config(use_cache=False)
        model = transformers.GPT2LMHeadModel(config)
        vocabulary = config.vocab_size
    else:
        config = transformers.BertConfig()
        model = transformers.BertModel(config)
        vocabulary = config.vocab_size
    model = model.eval().half().cuda()

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask)[0]

    def inputs(batch, sequence):
        ids = torch.randint(0, vocabulary, (batch, sequence), device="cuda")
        return ids, torch.ones_like(ids)

    return Plain(), inputs


def milliseconds(run, seconds=0.5):
    import torch

    for _ in range(10):
        run()
    torch.cuda.synchronize()
    times, end = [], time.time() + seconds
    while len(times) < 30 or (time.time() < end and len(times) < 2000):
        begin, finish = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        finish.record()
        finish.synchronize()
        times.append(begin.elapsed_time(finish))
    return statistics.median(times)


def graph_of(model, inputs):
    import torch

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(*inputs)
    return graph


def work(name, batch, sequence, compiled, turn, results):
    report = {"name": name, "batch": batch, "sequence": sequence}
    try:
        import torch

        torch.set_grad_enabled(False)
        model, make = (text if name.startswith(("bert", "gpt2")) else vision)(name)
        inputs = make(batch, sequence)
        started = time.time()
        fast = torch.compile(model, mode="reduce-overhead")
        for _ in range(4):
            fast(*inputs)
        torch.cuda.synchronize()
        report["compileSeconds"] = time.time() - started
    except Exception as error:  # noqa: BLE001 - a network that does not compile is a result
        report["error"] = str(error)[:500]
        fast = None
    compiled.put(name)
    with turn:
        try:
            report["eager"] = milliseconds(lambda: model(*inputs))
            graph = graph_of(model, inputs)
            report["graph"] = milliseconds(graph.replay)
            if fast is not None:
                report["compile"] = milliseconds(lambda: fast(*inputs))
        except Exception as error:  # noqa: BLE001
            report["error"] = str(error)[:500]
        results.put(report)


def main():
    multiprocessing.set_start_method("spawn")
    compiled, results = multiprocessing.Queue(), multiprocessing.Queue()
    turn = multiprocessing.Lock()
    jobs = []
    turn.acquire()
    for argument in sys.argv[1:]:
        name, _, rest = argument.partition(":")
        batches, _, sequence = rest.partition("@")
        for batch in batches.split(","):
            jobs.append((name, int(batch), int(sequence or 128)))
    processes = [multiprocessing.Process(target=work, args=(*job, compiled, turn, results)) for job in jobs]
    for process in processes:
        process.start()
    limit = time.time() + float(os.environ.get("COMPILE_SECONDS", "240"))
    for _ in jobs:
        try:
            compiled.get(timeout=max(1, limit - time.time()))
        except Exception:  # noqa: BLE001 - those that are late are timed without it
            break
    # Others may be timed first on the same device.
    start = os.environ.get("START_FILE")
    while start and not os.path.exists(start):
        time.sleep(0.2)
    turn.release()
    for _ in jobs:
        print(json.dumps(results.get(timeout=300)), flush=True)
    for process in processes:
        process.join(5)


if __name__ == "__main__":
    main()
