// Imported before each vlugin of valor-vlugins.js with its name after the question mark, and once after the last:
// modules are evaluated in the order of their imports.

import { evaluates } from "./valor-js.js";

evaluates(new URL(import.meta.url).search.slice(1));
