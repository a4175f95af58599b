// itty-router, in its usual style.
import { AutoRouter, cors, error, json, StatusError, withParams } from "itty-router";

const { preflight, corsify } = cors({ origin: "https://example.org", maxAge: 60 });
const router = AutoRouter({ before: [preflight, withParams], finally: [corsify] });

router
  .get("/", () => "itty")
  .get("/json", () => ({ rows: [1, 2, 3] }))
  .get("/items/:id", ({ id }) => ({ id }))
  .get("/greedy/:path+", ({ path }) => path)
  .get("/maybe/:format?", ({ format }) => format ?? "none")
  .get("/query", ({ query }) => query)
  .post("/sum", async (request) => {
    const { numbers } = await request.json();
    return { sum: numbers.reduce((a, b) => a + b, 0) };
  })
  .get("/created", () => json({ made: true }, { status: 201, headers: { "x-made": "yes" } }))
  .get("/refused", () => error(403, "not for you"))
  .get("/throws", () => {
    throw new StatusError(422, "not like this");
  });

export default router;
