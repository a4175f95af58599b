// The vlugins that the service worker imports. `valor_cli web` writes this file.

import { vlugins } from "./valor-js.js";

vlugins([]);
