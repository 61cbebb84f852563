"""A step on a cluster on the screen: its pieces, what it takes of a GPU's memory, and all that was assumed."""

from angulus.training.nodes.hardware import H200, Cluster
from angulus.training.nodes.step_model import StepForecast
from angulus.training.plan.machine import in_words


def print_steps(step: StepForecast, cluster: Cluster) -> None:
    """Pieces, memory, the bottleneck, the assumptions."""
    each = f"{step.images:,} image{'s' * (step.images != 1)} for each"
    print(f"a step on {cluster.nodes} machines with {cluster.gpus} GPUs, {each}, expected by a model:\n")
    width = max(len(name) for name in (*step.pieces, *step.memory))
    for name, seconds in step.pieces.items():
        print(f"{name:<{width}}  {1000 * seconds:>9,.2f} ms")
    print(f"{'together':<{width}}  {1000 * step.seconds:>9,.2f} ms, {step.images_per_second:,.0f} images/s\n")
    for name, size in step.memory.items():
        print(f"{name:<{width}}  {in_words(size) if size else '-':>9}")
    print(f"{'one GPU':<{width}}  {in_words(sum(step.memory.values())):>9}\n")
    print(f"The longest piece: {step.bottleneck}.")
    print("Assumed, not measured: the links, their rates (80 % of them reached) and latencies; the step on many GPUs.")
    for link in (cluster.inside, cluster.between):
        print(f"  {link.name}: {1e6 * link.latency:g} us a hop")
    print(f"Pieces of a {H200.name}.")
    print("Any network is taken to need the time of IResNet-50; the loader gives 4,480 images/s a GPU.")
