// Imported before each vlugin of valor-vlugins.js with its name behind the question mark, and once behind the
// last of them: modules are evaluated in the order of their imports.

import { evaluates } from "./valor-js.js";

evaluates(new URL(import.meta.url).search.slice(1));
