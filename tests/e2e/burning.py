"""An API whose payments fail while a file `down` lies in the working directory."""

from pathlib import Path

from fastapi import FastAPI, HTTPException

from failsoft import Failsoft

app = FastAPI()
app.add_middleware(Failsoft)
_DOWN = Path("down")


@app.post("/pay")
def pay() -> dict[str, bool]:
    if _DOWN.exists():
        raise HTTPException(500, "payments are down")
    return {"paid": True}
