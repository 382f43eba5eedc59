#!/bin/sh
# torch 2.13.0, CPU: AdamW(fused=True) pairs weights with their moments by their place in memory, not by their index.
#
# Expected: a training that goes on from a saved state of the optimizer gives the same weights as one that was not
# interrupted, whatever the memory formats, as it does without fused.
# Seen: a weight of a convolution in channels_last gets the moments of other values of its tensor if these come back
# contiguous, as they do from any file that does not keep strides. load_state_dict takes them as they are; no error, no
# warning, other weights. Mended by torch.empty_like(weight).copy_(moment) before load_state_dict.
#
# Prints the largest difference after three steps, a saved state, and three more steps; fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "torch==2.13.0" "numpy==2.4.6"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import torch


def weights(memory_format, fused, resumed):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3).contiguous(memory_format=memory_format))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=fused)
    for step in range(6):
        if step == 3 and resumed:
            state = optimizer.state_dict()
            for moments in state["state"].values():
                moments.update({name: tensor.contiguous() for name, tensor in moments.items()})
            optimizer = torch.optim.AdamW([weight], lr=0.1, fused=fused)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        (weight**2 * torch.arange(108.0).reshape(4, 3, 3, 3)).sum().backward()
        optimizer.step()
    return weight.detach().clone()


for memory_format in (torch.contiguous_format, torch.channels_last):
    for fused in (False, True):
        whole, resumed = (weights(memory_format, fused, flag) for flag in (False, True))
        name = "fused" if fused else "plain"
        print(str(memory_format).removeprefix("torch."), name, f"{(whole - resumed).abs().max():.3f}", sep=" | ")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
contiguous_format | plain | 0.000
contiguous_format | fused | 0.000
channels_last | plain | 0.000
channels_last | fused | 0.450
OUT
diff "$work/expected" "$work/seen"
