"""What clocks that differ cost."""

from math import erfc

from servicelab.arguments import not_negative, positive, seconds


def refused_fresh(sigma, leeway, way=0.0) -> float:
    """Share of fresh tokens that are refused as issued in the future: ½ erfc((ℓ + d) / 2σ).

    The clocks of issuer and verifier are off by N(0, ``sigma``) each, in seconds; a token arrives ``way`` seconds after
    it was issued and is refused if its ``iat`` is more than ``leeway`` seconds ahead. Source: derived; the difference
    of the two clocks is N(0, σ√2), and the normal distribution's tail is DLMF 7.2.2 (dlmf.nist.gov).
    """
    behind = not_negative("leeway", leeway, "seconds") + seconds("way", way)
    return 0.5 * erfc(behind / (2 * positive("sigma", sigma, "seconds")))
