"""What is commonly written to serve a model: FastAPI, a model of the row by pydantic, joblib, a DataFrame of one row.

Run by `bench/serving.py` under uvicorn; the pipeline and the features' types are named by environment variables.
"""

from __future__ import annotations

import json
import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, create_model

KINDS: dict[str, Any] = {"float": float, "int": int, "bool": bool, "category": str}
FEATURES = {name: (KINDS[kind] | None, ...) for name, kind in json.loads(os.environ["FEATURES"]).items()}
Row: type[BaseModel] = create_model("Row", **FEATURES)  # type: ignore[call-overload]
Request: type[BaseModel] = create_model("Request", rows=(list[Row], ...))  # type: ignore[valid-type]
model = joblib.load(os.environ["PIPELINE"])
app = FastAPI()


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ready": True}


@app.post("/predict")
def predict(request: Request) -> dict[str, list[float]]:  # type: ignore[valid-type]
    frame = pd.DataFrame([row.model_dump() for row in request.rows])  # type: ignore[attr-defined]
    return {"probability": model.predict_proba(frame)[:, 1].tolist()}
