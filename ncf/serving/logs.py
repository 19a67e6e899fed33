"""Configure TorchServe's logs so that they are few and bounded, and read errors from them."""

import re
from pathlib import Path
from xml.sax.saxutils import quoteattr

CONSOLE = "console"
_SERVER, _MODEL = "server", "model"
# The last line of a traceback in a worker's log.
_END = re.compile(r"MODEL_LOG - (?:[\w.]*\.)?(\w*(?:Error|Exception)): (.+)")


def log_config(logs: Path) -> str:
    """Write settings of Log4j: keep warnings and the workers' output, but not a line a request."""
    appenders = "".join(
        f"""
    <RollingFile name="{name}" fileName={quoteattr(f"{logs}/{name}.log")}
                 filePattern={quoteattr(f"{logs}/{name}.%i.log.gz")}>
      <PatternLayout pattern="%d{{ISO8601}} [%-5p] %t %c - %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="10 MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>"""
        for name in (_SERVER, _MODEL)
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by 'ncf serve': warnings alone, 80 MB at most. -->
<Configuration status="error">
  <Appenders>{appenders}
  </Appenders>
  <Loggers>
    <!-- What workers print. They log a line a request, and errors too at level info. -->
    <Logger name="MODEL_LOG" level="info" additivity="false">
      <AppenderRef ref="{_MODEL}"/>
      <RegexFilter regex="Backend received inference at.*" onMatch="DENY" onMismatch="NEUTRAL"/>
    </Logger>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Root level="warn"><AppenderRef ref="{_SERVER}"/></Root>
  </Loggers>
</Configuration>
"""


def last_words(logs: Path) -> str | None:
    """Find the error that ended a worker; None if there is none."""
    log = logs / f"{_MODEL}.log"
    if not log.exists():
        return None
    found = _END.findall(log.read_text(errors="replace"))
    return found[-1][1] if found else None


def last_line(logs: Path) -> str:
    """Find the last line that TorchServe itself wrote."""
    lines = [
        line
        for name in (_SERVER, CONSOLE)
        if (logs / f"{name}.log").exists()
        for line in (logs / f"{name}.log").read_text(errors="replace").splitlines()
        if line.strip()
    ]
    return lines[-1][:300] if lines else "no log"
