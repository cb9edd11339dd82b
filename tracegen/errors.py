"""The exceptions that tracegen raises; every message says what happened, to which thing, and what to do.

    TracegenError
    ├── UserError             the user's mistake: raised before anything is spent, exit code 2
    │   ├── RecipeError       a recipe that cannot be read, with the path of the key
    │   └── ProblemError      problem rows that cannot be read, all of them at once
    └── InfraError            ours or a server's: retried, then left owed, never counted against a trace
        ├── TeacherError      an endpoint or engine that did not answer
        ├── SandboxError      Docker is absent, an image is missing, a container was lost
        └── HubError          the Hub refused or could not be reached

The model's mistakes are not exceptions: they are verdicts and flags.
"""


class TracegenError(Exception):
    """Root of the tree."""


class UserError(TracegenError):
    """Something only the user can mend; nothing has been spent."""


class RecipeError(UserError):
    """A recipe that is not valid TOML, or does not fit the schema."""


class ProblemError(UserError):
    """Problem rows that cannot be used; `lines` holds one finding per bad row, in file order."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class InfraError(TracegenError):
    """Something of ours or of a server's failed; the work is left owed."""


class TeacherError(InfraError):
    """A teacher did not answer. `retry_after` is in seconds where the server named it.

    `fatal` says that no later request can succeed either (bad key, unknown model, unreachable
    endpoint), so that a run stops at once and spends nothing more.
    """

    def __init__(
        self, message: str, *, cause: str, fatal: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.fatal = fatal
        self.retry_after = retry_after


class SandboxError(InfraError):
    """The sandbox cannot judge. `cause` is docker_unavailable, image_missing or container_lost."""

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class HubError(InfraError):
    """The Hugging Face Hub refused a request or could not be reached."""
