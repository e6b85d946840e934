"""The training step of 4DS-S against torch with the same objective, and against VideoMAE's own step.

Run as test_vit_speed.py says. One clip of 16 x 224 x 224 a core; 95 % of its tokens dropped; a step is forward,
backward and AdamW. VideoMAE's step has about half the operations of ours and is reported beside, not compared.
"""

from __future__ import annotations

import pytest

from benchmarks.timed_workers import CORES, TORCH_PYTHON, Worker, has_torch, interleaved, require_ratio
from probe4d_fourds.flops import train_flops
from probe4d_fourds.objective import mae

pytestmark = pytest.mark.bench

OURS = """
import numpy as np
if CORES > 1:
    os.environ["JAX_NUM_CPU_DEVICES"] = str(CORES)
import jax, resource
from probe4d_fourds.objective import mae
from probe4d_fourds.step import Recipe, TrainStep
from probe4d_runners.jax.mesh import MeshShape, make_mesh
step = TrainStep(mae("4ds-s"), Recipe(steps=1000, learning_rate=1e-4, warmup_steps=10),
                 make_mesh(MeshShape(data=-1, fsdp=1)))
state, compiled = step.init(0), step.compiled()
video = np.random.default_rng(0).integers(0, 256, (BATCH, 16, 224, 224, 3), dtype=np.uint8)
batch = jax.device_put(video, step.batch_sharding)
def train():
    global state
    state, metrics = compiled(state, batch, np.uint32(0))
    jax.block_until_ready(metrics)
square = jax.numpy.ones((1536, 1536))
product = jax.jit(lambda a: a @ a)
serve({"ours": train, "matmul": lambda: jax.block_until_ready(product(square))})
"""

TORCH = """
import torch
from torch import nn
torch.set_num_threads(CORES)
torch.manual_seed(0)
D, LAYERS, HEADS, MLP, TOKENS, KEEP, LAST, CELLS = 384, 12, 6, 1536, 1568, 78, 4, 2 * 16 * 16 * 3

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(D, eps=1e-6), nn.LayerNorm(D, eps=1e-6)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.mlp = nn.Sequential(nn.Linear(D, MLP), nn.GELU(approximate="tanh"), nn.Linear(MLP, D))

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, D))
        return x + self.mlp(self.norm2(x))

class Mae(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.decode = nn.Linear(CELLS, D), nn.Linear(D, CELLS)
        self.position = nn.Parameter(0.02 * torch.randn(TOKENS, D))
        self.latents = nn.Parameter(0.02 * torch.randn(TOKENS, D))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))

    def forward(self, video):
        b = video.shape[0]
        cut = video.float().div(255).reshape(b, 8, 2, 14, 16, 14, 16, 3).permute(0, 1, 3, 5, 2, 4, 6, 7)
        patches = cut.reshape(b, TOKENS, CELLS)
        kept = torch.rand(b, TOKENS).argsort(1)[:, :KEEP]
        visible = patches.gather(1, kept[..., None].expand(-1, -1, CELLS))
        x = self.embed(visible) + self.position[kept]
        for block in self.blocks[:-LAST]:
            x = block(x)
        x = torch.cat([self.latents.expand(b, -1, -1), x], 1)
        for block in self.blocks[-LAST:]:
            x = block(x)
        return (self.decode(x[:, :TOKENS]).float() - patches).square().mean()

model = Mae()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
video = torch.randint(0, 256, (BATCH, 16, 224, 224, 3), dtype=torch.uint8)

def train(precision, autocast=False):
    def run():
        torch.set_float32_matmul_precision(precision)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(video)
        loss.backward()
        optimizer.step()
    return run

torch.set_float32_matmul_precision("highest")
matrix = torch.rand(512, 512)
exact = matrix @ matrix
torch.set_float32_matmul_precision("medium")
error = float(((matrix @ matrix) - exact).abs().max() / exact.abs().max())
runs = {"float32": train("highest"), "bfloat16": train("highest", True)}
if error < 1e-5:
    runs["medium"] = train("medium")
from transformers import VideoMAEConfig, VideoMAEForPreTraining
peer = VideoMAEForPreTraining(VideoMAEConfig(
    hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=MLP,
    decoder_hidden_size=192, decoder_num_attention_heads=3, decoder_intermediate_size=768, attn_implementation="sdpa"))
peer_optimizer = torch.optim.AdamW(peer.parameters(), lr=1e-4)
pixels = torch.rand(BATCH, 16, 3, 224, 224)
hidden = torch.zeros(BATCH, TOKENS, dtype=torch.bool)
hidden[:, KEEP:] = True

def train_peer():
    torch.set_float32_matmul_precision("highest")
    peer_optimizer.zero_grad()
    peer(pixels, bool_masked_pos=hidden).loss.backward()
    peer_optimizer.step()

runs["videomae"] = train_peer
serve(runs)
"""


def test_the_step_beats_float32_accurate_torch_of_the_same_objective(capsys):
    if not has_torch():
        pytest.skip(f"needs torch and transformers; {TORCH_PYTHON} has none (pip install torch transformers)")
    with Worker(OURS, BATCH=CORES) as ours, Worker(TORCH, TORCH_PYTHON, BATCH=CORES) as torch:
        times = interleaved(ours, torch)
        memory = {name: worker.seconds("peak") for name, worker in (("ours", ours), ("torch", torch))}
    peak = 2 * 1536**3 / times.pop("matmul")
    achieved = CORES * train_flops(mae("4ds-s")) / times["ours"]
    with capsys.disabled():
        print(f"\n4DS-S step, {CORES} core(s), clips/s:", {run: round(CORES / t, 3) for run, t in times.items()})
        print(f"  {achieved / 1e9:.0f} GF/s, {achieved / peak:.0%} of one large product")
        print(f"  peak memory, GiB: {memory['ours']:.2f}; torch {memory['torch']:.2f}, the largest of all its steps")
    accurate = min(seconds for run, seconds in times.items() if run in ("float32", "medium"))
    assert achieved / peak >= 0.65
    require_ratio(accurate / times["ours"], 1.0, achieved / peak)
    require_ratio(times["float32"] / times["ours"], 1.7, achieved / peak)
