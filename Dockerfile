# The server alone: no PyTorch, no Java, no CUDA. Mount a model store at /models:
#   docker build -t ncf . && docker run --read-only --tmpfs /tmp -e NCF_TOKEN=... \
#     -v "$PWD/model_store:/models:ro" -p 127.0.0.1:8080:8080 ncf
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements-cpu.txt requirements-serve.txt constraints.txt constraints.lock pyproject.toml README.md LICENSE ./
COPY ncf ncf
COPY export export
COPY handlers handlers
COPY batch batch
# The wheel of ONNX Runtime for CPUs: the base would bring the one for CUDA too (docs/howto/install.md).
RUN python -m venv /opt/ncf \
 && /opt/ncf/bin/pip install --no-cache-dir -c constraints.txt -c constraints.lock \
      -r requirements-cpu.txt -r requirements-serve.txt \
 && /opt/ncf/bin/pip install --no-cache-dir --no-deps . \
 && /opt/ncf/bin/pip uninstall --yes pip

FROM python:3.12-slim
COPY --from=build /opt/ncf /opt/ncf
ENV PATH=/opt/ncf/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# A token is needed: NCF_TOKEN, or --token-file of a mounted secret.
ENTRYPOINT ["ncf", "serve", "--model-store", "/models", "--host", "0.0.0.0", "--port", "8080"]
CMD ["--state", "/tmp/ncf"]
