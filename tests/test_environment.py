from importlib import metadata


def test_nothing_leads_to_torchvision_on_a_cpu_install():
    import torch

    if torch.version.cuda is not None:
        return
    installed = {d.metadata["Name"].lower(): d for d in metadata.distributions()}
    unwanted = [n for n in installed if n in ("torchvision", "torchaudio", "triton") or n.startswith("nvidia-")]
    blame = {
        n: [d.metadata["Name"] for d in installed.values() if any(r.lower().startswith(n) for r in d.requires or [])]
        for n in unwanted
    }
    assert not blame, f"installed beside a CPU build of torch, required by: {blame}"
