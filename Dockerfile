# The service in a container: not built where Angulus is tested, as there is no container engine there.
#
#   docker build -t angulus .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp -p 8000:8000 \
#     -v ./068.bundle:/bundle:ro -v ./keys.json:/keys/keys.json:ro -v angulus:/data angulus
#
# Everything that changes lies in /data: gallery, log, choices. TLS is brought by a proxy in front (--behind-proxy), or
# by --certificate and --private-key in the place of it.

FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN python -m venv /angulus && /angulus/bin/pip install --no-cache-dir ".[serve]"

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin angulus \
 && mkdir /data && chown angulus /data
COPY --from=build /angulus /angulus
USER 10001
ENV PATH=/angulus/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v1/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["angulus", "serve", "--host", "0.0.0.0", "--behind-proxy", "--bundle", "/bundle", \
  "--gallery", "/data/gallery", "--state", "/data/state", "--keys", "/keys/keys.json"]
