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


SIDES = {"inception_v3": 299, "deeplabv3_mobilenet": 256}


def vision(name):
    import torch
    import torchvision

    if name == "deeplabv3_mobilenet":
        model = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None)
    else:
        model = getattr(torchvision.models, name)(weights=None)
    side = SIDES.get(name, 224)

    def inputs(batch, _):
        x = torch.rand(batch, 3, side, side, device="cuda", dtype=torch.half)
        return (x.to(memory_format=torch.channels_last),)

    model = model.eval().half().cuda().to(memory_format=torch.channels_last)
    return (first_of(model, "out") if name.startswith("deeplab") else model), inputs


# Sizes are those of the zoo's files.
TEXT = {
    "bert_base": lambda t: t.BertModel(t.BertConfig()),
    "distilbert_sst2": lambda t: t.DistilBertForSequenceClassification(t.DistilBertConfig()),
    "gpt2": lambda t: t.GPT2LMHeadModel(t.GPT2Config(use_cache=False)),
    "llama_160m": lambda t: t.LlamaForCausalLM(
        t.LlamaConfig(
            vocab_size=32000,
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=12,
            num_attention_heads=12,
            num_key_value_heads=4,
            use_cache=False,
        )
    ),
    "t5_small_encoder": lambda t: t.T5EncoderModel(
        t.T5Config(vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)
    ),
}


def text(name):
    import torch
    import transformers

    model = TEXT[name](transformers).eval().half().cuda()
    vocabulary = model.config.vocab_size

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


def audio(name):
    import torch
    from transformers.models.whisper.modeling_whisper import WhisperConfig, WhisperEncoder

    # The configuration's defaults are those of whisper-tiny.
    model = WhisperEncoder(WhisperConfig()).eval().half().cuda()

    def inputs(batch, _):
        return (torch.randn(batch, 80, 3000, device="cuda", dtype=torch.half),)

    return first_of(model, 0), inputs


def first_of(model, key):
    """The network with the one output that the zoo's file has."""
    import torch

    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x)[key]

    return First()


def network(name):
    if name in TEXT:
        return text(name)
    return audio(name) if name.startswith("whisper") else vision(name)


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
        model, make = network(name)
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
