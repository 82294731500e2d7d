"""Parity of MNIST digits, see make_ggdln_digits.py: writes book/data/ggdln_mnist.json."""

import sys

import make_ggdln_digits

if __name__ == "__main__":
    make_ggdln_digits.main(["--set", "mnist", *sys.argv[1:]])
