"""The command line `fer-train`: one module for each command."""


def main() -> None:
    """Runs the command line of this process and exits; see `app.main`."""
    from fer_training.cli.app import main as run

    run()
