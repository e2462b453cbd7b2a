"""The command where the paper has trees alone, which train in a moment."""

from dataclasses import replace

from training.papers import mmdin

QUICK = {"iterations": 5}
MMDIN = replace(
    mmdin.MMDIN,
    variants=tuple(
        replace(variant, model="gbt", config=QUICK, ablates="")
        for variant in mmdin.MMDIN.variants
        if variant.key in ("din", "mmdin")
    ),
)

if __name__ == "__main__":
    from cli.main import main

    mmdin.MMDIN = MMDIN
    main()
