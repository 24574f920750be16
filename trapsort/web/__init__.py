"""The local page: review, correct, explain, look around; and the API that it stands on.

FastAPI, Starlette and uvicorn live here only. `app.create_app` puts it together, `security` decides
who may ask, `api` answers programs, `pages` people; nothing here writes except through `Store`.
"""
