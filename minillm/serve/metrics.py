"""What a server says about itself to Prometheus: counts, gauges, histograms.

Names and buckets follow vLLM's, so that its dashboards need another prefix and no more; below its
smallest bucket there are finer ones, since a small model is quicker than those were made for.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from minillm.serve.request_log import RequestRow

PREFIX = "minillm:"
FIRST_TOKEN_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
REQUEST_S = (
    0.01, 0.025, 0.05, 0.1, 0.2,
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
)  # fmt: skip
TOKEN_S = (
    0.001, 0.0025, 0.005,
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
)  # fmt: skip
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


# package only
class Metrics:
    """One registry a server: nothing is global, so two servers in a process do not mix."""

    def __init__(
        self, num_running: Callable[[], int], num_waiting: Callable[[], int], num_slots: int
    ) -> None:
        self.registry = CollectorRegistry()
        self.gauge("num_requests_running", "requests in a slot", num_running)
        self.gauge("num_requests_waiting", "requests waiting for a slot", num_waiting)
        self.gauge("num_slots", "requests that can run at once", lambda: num_slots)
        self.prompt_tokens = self.counter("prompt_tokens", "tokens prefilled")
        self.reply_tokens = self.counter("generation_tokens", "tokens generated")
        self.successes = self.counter("request_success", "replies by their end", "finished_reason")
        self.errors = self.counter("request_errors", "requests without a reply", "status", "code")
        self.ratings = self.counter("request_feedback", "readers' judgements", "rating")
        self.queue_s = self.histogram("request_queue_time_seconds", REQUEST_S)
        self.first_token_s = self.histogram("time_to_first_token_seconds", FIRST_TOKEN_S)
        self.token_s = self.histogram("request_time_per_output_token_seconds", TOKEN_S)
        self.request_s = self.histogram("e2e_request_latency_seconds", REQUEST_S)
        self.prompt_length = self.histogram("request_prompt_tokens", TOKENS)
        self.reply_length = self.histogram("request_generation_tokens", TOKENS)

    def gauge(self, name: str, words: str, value: Callable[[], int]) -> None:
        Gauge(PREFIX + name, words, registry=self.registry).set_function(value)

    def counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, words, labels, registry=self.registry)

    def histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        words = name.replace("_", " ")
        return Histogram(PREFIX + name, words, buckets=buckets, registry=self.registry)

    def count(self, row: RequestRow) -> None:
        """Count a request that has just been logged."""
        if row.status != 200:
            self.errors.labels(str(row.status), row.error).inc()
            return
        self.successes.labels(row.finish_reason).inc()
        self.prompt_tokens.inc(row.prompt_tokens)
        self.reply_tokens.inc(row.completion_tokens)
        self.prompt_length.observe(row.prompt_tokens)
        self.reply_length.observe(row.completion_tokens)
        self.queue_s.observe(row.queued_ms / 1000)
        self.first_token_s.observe(row.first_token_ms / 1000)
        self.request_s.observe(row.total_ms / 1000)
        if row.completion_tokens > 1:
            decode_ms = row.total_ms - row.first_token_ms
            self.token_s.observe(decode_ms / 1000 / (row.completion_tokens - 1))

    def text(self) -> bytes:
        """Everything in Prometheus' text form."""
        return generate_latest(self.registry)
