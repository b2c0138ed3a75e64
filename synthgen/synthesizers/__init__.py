"""The synthesizers: one file and one final class each, on the contract of `base.Synthesizer`."""
