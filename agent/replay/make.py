"""Makes the sample recordings of this folder: `python3 make.py` writes them again, always the same bytes.

They are invented, with the ranges of public nvidia-smi listings and vendor data sheets: idle, a training run that ramps up, steady
load with one GPU that is cooled worse, and back. One line is one set of readings, as `helix-agent run --source replay:FILE` takes.
"""

import json
import random

MIB = 1 << 20
PHASES = [0.0, 0.0, 0.35, 0.8, 0.95, 0.97, 0.96, 0.94, 0.97, 0.9, 0.4, 0.0]
H100 = dict(name="NVIDIA H100 80GB HBM3", mib=81559, idle=71, limit=700, load=655, theta=0.052, hbm=8, clock=(345, 1980), vbios="96.00.89.00.01", gen=5)
L40 = dict(name="NVIDIA L40", mib=46068, idle=35, limit=300, load=282, theta=0.14, hbm=None, clock=(210, 2490), vbios="95.02.3C.00.05", gen=4)
DRIVER = {"state": "loaded", "driver_version": "580.105.08", "cuda_version": "13.0", "nvml_version": "13.580.105.08"}
MODELS = {
    "xe9680": dict(gpu=H100, buses=["19", "3b", "4c", "5d", "9b", "bb", "cb", "db"], rails=["1a", "3c", "4d", "5e", "9c", "bc", "cc", "dc"],
                   rdma=[0, 3, 4, 5, 6, 9, 10, 11], memory_gib=2048, seed=9680),
    "xe8640": dict(gpu=H100, buses=["4e", "5f", "cb", "db"], rails=["5e", "4f", "dc", "cc"], rdma=[0, 1, 2, 3], memory_gib=1024, seed=8640),
    "r760xa": dict(gpu=L40, buses=["4a", "61", "ca", "e1"], rails=["37"], rdma=[0], memory_gib=512, seed=760),
    "r660": dict(gpu=None, buses=[], rails=[], rdma=[], memory_gib=512, seed=660),
}


def gpu(model, index, bus, busy, rng):
    worse = 1.25 if index == 3 and len(model["buses"]) > 3 else 1.0
    kind = model["gpu"]
    power = kind["idle"] + (kind["load"] - kind["idle"]) * busy + rng.uniform(-0.02, 0.02) * kind["load"] * (0.2 + busy)
    power = round(min(power, kind["limit"]), 1)
    temp = round(23 + kind["theta"] * worse * power + rng.uniform(-0.5, 0.5))
    low, high = kind["clock"]
    reasons = ["gpu_idle"] if busy == 0 else ["power_cap"] if power > 0.93 * kind["limit"] else []
    reading = {
        "index": index, "name": kind["name"],
        "uuid": "GPU-%08x-%04x-%04x-%04x-%012x" % (rng_id(model, index, 32), rng_id(model, index, 16), 0x4000 | rng_id(model, index, 12),
                                                    0x8000 | rng_id(model, index, 14), rng_id(model, index, 48)),
        "serial": "16%02d%09d" % (model["seed"] % 100, 1000 + index), "pci_bus_id": f"00000000:{bus.upper()}:00.0",
        "vbios_version": kind["vbios"], "memory_total_bytes": kind["mib"] * MIB,
        "memory_used_bytes": int((4 + kind["mib"] * 0.86 * min(1, busy * 1.2)) * MIB) if busy else 4 * MIB,
        "utilization_percent": round(min(100, busy * 103 + rng.uniform(-2, 2))) if busy else 0,
        "power_watts": power, "power_limit_watts": float(kind["limit"]), "temp_celsius": float(temp),
        "sm_clock_mhz": low if busy == 0 else round(high - 165 * max(0, busy - 0.6)), "ecc_uncorrected_total": 0,
        "ecc_corrected_total": 2 if index == 1 else 0, "remapped_rows_pending": False, "pcie_link_generation": kind["gen"],
        "pcie_link_width": 16, "throttle_reasons": reasons,
    }
    if kind["hbm"]:
        reading["memory_temp_celsius"] = float(temp + kind["hbm"])
    else:
        reading["unavailable"] = ["memory temperature: this device does not have it"]
    return reading


def rng_id(model, index, bits):
    return random.Random(f"{model['seed']}/{index}/{bits}").getrandbits(bits)


def main():
    for name, model in MODELS.items():
        rng = random.Random(model["seed"])
        sent = [0] * len(model["rails"])
        with open(f"{name}.jsonl", "w", encoding="utf-8") as out:
            for busy in PHASES:
                if not model["gpu"]:
                    busy *= 0.3
                readings = {"gpu_driver": DRIVER if model["gpu"] else {"state": "absent"}}
                readings["gpus"] = [gpu(model, index, bus, busy, rng) for index, bus in enumerate(model["buses"])]
                ports = []
                for rail, bus in enumerate(model["rails"]):
                    sent[rail] += int(busy * 30e9 * 10 * rng.uniform(0.9, 1.0))
                    ports.append({
                        "device": f"mlx5_{model['rdma'][rail]}", "port": 1, "link_layer": "InfiniBand", "state": "ACTIVE", "physical_state": "LinkUp",
                        "rate_gbps": 400.0, "node_guid": "0xb8cef603%08x" % (model["seed"] * 16 + rail), "firmware_version": "28.39.1002",
                        "pci_address": f"0000:{bus}:00.0", "lid": 64 + rail, "symbol_errors": 0, "link_downed": 0, "port_rcv_errors": 0,
                        "port_rcv_data_bytes": sent[rail], "port_xmit_data_bytes": sent[rail],
                    })
                readings["infiniband"] = ports
                cpu = 42 + 34 * busy
                readings["temperatures"] = [
                    {"sensor": "coretemp/Package id 0", "temp_celsius": round(cpu + rng.uniform(-1, 1), 1), "critical_celsius": 102.0},
                    {"sensor": "coretemp/Package id 1", "temp_celsius": round(cpu + 1 + rng.uniform(-1, 1), 1), "critical_celsius": 102.0},
                    {"sensor": "nvme0/Composite", "temp_celsius": round(36 + 8 * busy + rng.uniform(-1, 1), 1), "critical_celsius": 85.0},
                ]
                load = round(0.4 + 90 * busy * rng.uniform(0.9, 1.1), 2)
                readings["load_average"] = [load, round(load * 0.95, 2), round(load * 0.8, 2)]
                readings["memory_used_bytes"] = int(model["memory_gib"] * (1 << 30) * (0.03 + 0.4 * busy))
                out.write(json.dumps(readings, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
