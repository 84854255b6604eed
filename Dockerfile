# One image for `dev` (the default: brings its own server) and `serve`.
#   docker build -t eventrouter .
#   docker run --init --rm -p 4566:4566 eventrouter
#   docker run --init --read-only --tmpfs /tmp -v data:/var/lib/eventrouter -p 4566:4566 eventrouter serve --redis-url ...

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/eventrouter
COPY requirements-image.lock /src/
RUN /opt/eventrouter/bin/pip install --require-hashes -r /src/requirements-image.lock
COPY pyproject.toml README.md LICENSE /src/
COPY eventrouter /src/eventrouter
COPY adapters /src/adapters
RUN /opt/eventrouter/bin/pip install --no-deps /src \
 && /opt/eventrouter/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="eventrouter" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 eventrouter \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/eventrouter --shell /usr/sbin/nologin eventrouter \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/eventrouter \
 && install --directory /app
COPY --from=build /opt/eventrouter /opt/eventrouter
ENV PATH=/opt/eventrouter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    EVENTROUTER_HOST=0.0.0.0 \
    EVENTROUTER_DATA_DIR=/var/lib/eventrouter
WORKDIR /app
VOLUME /var/lib/eventrouter
USER 10001:10001
EXPOSE 4566
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('EVENTROUTER_PORT', '4566'), timeout=2)"]
ENTRYPOINT ["eventrouter"]
CMD ["dev"]
