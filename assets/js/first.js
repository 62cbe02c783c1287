// Runs before the first paint, ahead of the page's modules.
import "./theme.js";
import "./early.js";
